// Speed of the hot loops: `npm run build && node bench/kernels.js [--quick]`. Best of three, in GFLOPS (multiply and add counted separately).
import { referenceKernels } from '../dist/kernels/reference.js'
import { wasmKernels } from '../dist/kernels/wasm.js'

const quick = process.argv.includes('--quick')
/** [rows, columns] of the linears of a 135M (576, 1536) and a 0.6B (1024, 3072) model. */
const sweeps = [[1536, 576], [576, 1536], ...(quick ? [] : [[1024, 3072]])]
const factors = [576, 1536, ...(quick ? [] : [3072])]

/**
 * Uniform in -1 .. 1, the same every time (Numerical Recipes' linear congruential generator).
 * @param {number} length
 */
function uniform(length) {
  const values = new Float32Array(length)
  let state = 1
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    values[i] = state / 2 ** 31 - 1
  }
  return values
}

/**
 * Symmetric, diagonally dominant: positive definite without a matrix product.
 * @param {number} n
 */
function definite(n) {
  const h = uniform(n * n)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) h[j * n + i] = h[i * n + j] = h[i * n + j] / n
    h[i * n + i] = 2
  }
  return h
}

/**
 * @param {number} rows
 * @param {number} columns
 */
function sweepInput(rows, columns) {
  const groups = Math.ceil(columns / 64)
  return {
    rows,
    columns,
    weight: uniform(rows * columns),
    factor: definite(columns).map((value, at) => (at % columns < Math.floor(at / columns) ? 0 : value)),
    scale: new Float32Array(rows * groups).fill(1 / 7),
    zeroPoint: null,
    groups,
    groupOf: Int32Array.from({ length: columns }, (_, j) => Math.floor(j / 64)),
    min: -8,
    max: 7,
  }
}

/**
 * @param {() => Promise<unknown>} work
 * @param {number} repeats
 */
async function best(work, repeats) {
  let least = Infinity
  for (let i = 0; i < repeats; i++) {
    const start = performance.now()
    await work()
    least = Math.min(least, performance.now() - start)
  }
  return least
}

const contenders = [referenceKernels(), await wasmKernels({ threads: 1 }), await wasmKernels({ threads: 2 })]
/** @typedef {import('../dist/kernels/kernels.js').Kernels} Kernels */
/** @type {{ name: string, flop: number, work: (kernels: Kernels) => Promise<unknown> }[]} */
const rows = []
for (const [height, columns] of sweeps) {
  const input = sweepInput(height, columns)
  rows.push({ name: `sweep ${height} x ${columns}`, flop: height * columns ** 2, work: (kernels) => kernels.sweep(input) })
}
for (const n of factors) {
  const h = definite(n)
  rows.push({ name: `inverseFactor ${n}`, flop: (2 / 3) * n ** 3, work: (kernels) => kernels.inverseFactor(h, n) })
}

/** @type {Record<string, Record<string, number>>} */
const table = {}
for (const { name, flop, work } of rows) {
  /** @type {Record<string, number>} */
  const line = {}
  table[name] = line
  for (const kernels of contenders) {
    const milliseconds = await best(() => work(kernels), kernels.name === 'reference' ? 1 : 3)
    line[`${kernels.name} ${kernels.threads}`] = Number((flop / milliseconds / 1e6).toFixed(2))
  }
}
console.table(table)
for (const kernels of contenders) await kernels.close()

// Speed of the hot loops: `npm run build && node bench/kernels.js [--quick]`. Best of three, in GFLOPS (multiply and add counted
// separately), but for searchScales and roundGroups: errors of one weight with one scale, in thousand millions a second.
import { referenceKernels } from '../dist/kernels/reference.js'
import { wasmKernels } from '../dist/kernels/wasm.js'
import { SymmetricMatrix } from '../dist/numerics/symmetric-matrix.js'

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

/** What codes are: 4-bit integers, or small floats. */
const int4 = { float: null, min: -8, max: 7 }
const e4m3 = { float: /** @type {const} */ ('E4M3'), min: -448, max: 448 }
const e2m1 = { float: /** @type {const} */ ('E2M1'), min: -6, max: 6 }

/**
 * @param {number} rows
 * @param {number} columns
 * @param {typeof int4 | typeof e4m3 | typeof e2m1} codes
 */
function sweepInput(rows, columns, codes) {
  const groups = Math.ceil(columns / 64)
  return {
    rows,
    columns,
    weight: uniform(rows * columns),
    factor: definite(columns).map((value, at) => (at % columns < Math.floor(at / columns) ? 0 : value)),
    scale: new Float32Array(rows * groups).fill(1 / codes.max),
    zeroPoint: null,
    groups,
    groupOf: Int32Array.from({ length: columns }, (_, j) => Math.floor(j / 64)),
    ...codes,
  }
}

/**
 * 12 candidates of either sign for each group of 64.
 * @param {number} rows
 * @param {number} columns
 * @param {number} norm
 */
function searchInput(rows, columns, norm) {
  const groups = columns / 64
  const scale = uniform(rows * groups * 12).map((value) => (value < 0 ? -0.1 : 0.1) - 0.04 * value)
  const problem = { rows, columns, weight: uniform(rows * columns), groupSize: 64, zeroPoint: null, min: -8, max: 7 }
  return { ...problem, importance: uniform(columns).map(Math.abs), candidates: 12, signed: true, scale: scale.map(Math.abs), norm }
}

/**
 * Rounded weights, three rounds: about 5 % of the codes end elsewhere. H = 0.3 I + the mean of 16 outer products.
 * @param {number} rows
 * @param {number} columns
 */
function refineInput(rows, columns) {
  const tokens = 16
  const x = uniform(tokens * columns)
  const weight = uniform(rows * columns)
  const values = new Float32Array(columns ** 2)
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j < columns; j++) {
      let sum = i === j ? 0.3 : 0
      for (let t = 0; t < tokens; t++) sum += (x[t * columns + i] * x[t * columns + j]) / tokens
      values[i * columns + j] = sum
    }
  }
  const hessian = new SymmetricMatrix([0, columns], [values])
  const codes = Int8Array.from(weight, (w) => Math.max(-8, Math.min(7, Math.round(w * 7.5))))
  const error = weight.map((w, at) => w - codes[at] / 7.5)
  const product = error.map((e) => 0.3 * e)
  for (let row = 0; row < rows; row++) {
    for (let t = 0; t < tokens; t++) {
      let sum = 0
      for (let j = 0; j < columns; j++) sum += (error[row * columns + j] * x[t * columns + j]) / tokens
      for (let j = 0; j < columns; j++) product[row * columns + j] += sum * x[t * columns + j]
    }
  }
  const scale = new Float32Array((rows * columns) / 64).fill(2 / 15)
  const problem = { rows, columns, weight, product, hessian, codes, scale, zeroPoint: null, groupSize: 64, ...int4 }
  return { ...problem, rounds: 3, scaleDtype: /** @type {const} */ ('F32') }
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
  for (const codes of [int4, e4m3, e2m1]) {
    const input = sweepInput(height, columns, codes)
    const name = `sweep ${height} x ${columns}${codes.float ? `, ${codes.float}` : ''}`
    rows.push({ name, flop: height * columns ** 2, work: (kernels) => kernels.sweep(input) })
  }
}
for (const n of factors) {
  const h = definite(n)
  rows.push({ name: `inverseFactor ${n}`, flop: (2 / 3) * n ** 3, work: (kernels) => kernels.inverseFactor(h, n) })
}

for (const [height, columns] of sweeps.slice(0, 2)) {
  for (const norm of [2, 2.4]) {
    const input = searchInput(height, columns, norm)
    rows.push({
      name: `searchScales ${height} x ${columns} x 24, norm ${norm}`,
      flop: height * columns * 24,
      work: (kernels) => kernels.searchScales(input),
    })
  }
}
for (const [height, columns] of sweeps.slice(0, 2)) {
  const { weight, signed, min, max } = searchInput(height, columns, 2)
  const ratios = [1, 1.1, 1.05, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82, 0.79, 0.75, 0.7]
  const shape = { rows: height, columns, weight, groupSize: 64, scaleDtype: /** @type {const} */ ('BF16'), float: null, min, max }
  rows.push({
    name: `roundGroups ${height} x ${columns} x 24`,
    flop: height * columns * 24,
    work: (kernels) => kernels.roundGroups({ ...shape, ratios, signed }),
  })
}
for (const [height, columns] of sweeps.slice(0, 2)) {
  const input = refineInput(height, columns)
  rows.push({ name: `refine ${height} x ${columns}`, flop: 2 * height * columns ** 2, work: (kernels) => kernels.refine(input) })
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

import { expect, test } from 'vitest'
import { referenceKernels } from '../../src/kernels/reference.ts'
import { wasmKernels } from '../../src/kernels/wasm.ts'
import { SymmetricMatrix } from '../../src/numerics/symmetric-matrix.ts'
import { SpareMemory } from '../../src/util/spare-memory.ts'
import { kernelContract } from './contract.ts'
import { codesOf } from './random.ts'

for (const threads of [1, 2]) kernelContract(`wasm, threads ${threads}:`, () => wasmKernels({ threads }), referenceKernels())

test('wasm: 1, 2 and 4 threads give the same bytes when rows and tiles spread over all of them', async () => {
  const rows = 203
  const columns = 321
  const h = Float32Array.from({ length: columns * columns }, (_, at) => {
    const [i, j] = [Math.floor(at / columns), at % columns]
    return i === j ? 2 : Math.cos(i * j) / columns
  })
  const weight = Float32Array.from({ length: rows * columns }, (_, at) => Math.sin(at))
  const results: Buffer[] = []
  for (const threads of [1, 2, 4]) {
    const kernels = await wasmKernels({ threads })
    const factor = await kernels.inverseFactor(h, columns)
    if (!factor) throw new Error('a positive definite matrix was refused')
    const scale = new Float32Array(rows).fill(1 / 7)
    const groupOf = new Int32Array(columns)
    const sweep = { rows, columns, weight, factor, scale, zeroPoint: null, groups: 1, groupOf }
    const swept = [await kernels.sweep({ ...sweep, ...codesOf(4) }), await kernels.sweep({ ...sweep, ...codesOf('E2M1') })]
    const problem = { rows, columns, weight, groupSize: 107, min: -8, max: 7 }
    const candidates = 5
    const scales = Float32Array.from({ length: rows * 3 * candidates }, (_, at) => 0.1 + 0.01 * (at % candidates))
    const index = await kernels.searchScales({ ...problem, importance: null, candidates, scale: scales, zeroPoint: null, norm: 2.4 })
    const hessian = new SymmetricMatrix([0, columns], [h])
    const refine = { ...problem, product: weight.map((w) => 0.1 * w), hessian, scale: scales.subarray(0, rows * 3), zeroPoint: null }
    const codes = Int8Array.from(weight, (w) => Math.round(6 * w))
    const bits = Uint8Array.from(codes, (code) => code & 15)
    const refined = [
      await kernels.refine({ ...refine, codes, ...codesOf(4), rounds: 2, scaleDtype: 'F16' }),
      await kernels.refine({ ...refine, codes: bits, ...codesOf('E2M1'), rounds: 2, scaleDtype: null }),
    ]
    const arrays = [factor, index, ...swept.flatMap((found) => [found.codes, found.loss])]
    for (const found of refined) arrays.push(found.codes, found.scale, found.loss)
    results.push(Buffer.concat(arrays.map((array) => Buffer.from(array.buffer))))
    await kernels.close()
  }
  expect(results[1]?.equals(results[0] ?? Buffer.alloc(0))).toBe(true)
  expect(results[2]?.equals(results[0] ?? Buffer.alloc(0))).toBe(true)
})

test('wasm sweep: more rows than fit the memory at a time are taken in strips, none lost or doubled', async () => {
  const kernels = await wasmKernels({ threads: 2 })
  // A strip is 64 MiB of rows padded to 4 columns: 4 Mi rows.
  const rows = 2 ** 22 + 19
  const weight = Float32Array.from({ length: rows * 2 }, (_, at) => (at % 15) - 7)
  const { codes, loss } = await kernels.sweep({
    rows,
    columns: 2,
    weight,
    factor: Float32Array.of(1, 0, 0, 1),
    scale: new Float32Array(rows).fill(1),
    zeroPoint: null,
    groups: 1,
    groupOf: new Int32Array(2),
    ...codesOf(4),
  })
  expect(codes.findIndex((code, at) => code !== weight[at])).toBe(-1)
  expect(loss.findIndex((value) => value !== 0)).toBe(-1)
  await kernels.close()
})

test('wasm roundWeights: more rows than fit the memory at a time are taken in strips, none lost or doubled', async () => {
  const kernels = await wasmKernels({ threads: 2 })
  // Strips of 8 MiB: 0.3 Mi rows of one column.
  const rows = 2 ** 20 + 19
  const weight = Float32Array.from({ length: rows }, (_, at) => (at % 15) - 7)
  const scale = new Float32Array(rows).fill(1)
  const memory = new SpareMemory()
  const dirty = memory.take(rows)
  new Uint8Array(dirty).fill(77)
  memory.give(new Uint8Array(dirty))
  const input = { rows, columns: 1, weight, rowSpan: 1, columnSpan: 1, scale, zeroPoint: null, values: true, memory, ...codesOf(4) }
  const { codes, values, loss, power } = await kernels.roundWeights(input)
  expect(codes.findIndex((code, at) => code !== weight[at])).toBe(-1)
  expect(values?.findIndex((value, at) => value !== weight[at])).toBe(-1)
  expect(loss.findIndex((value) => value !== 0)).toBe(-1)
  expect(power.findIndex((value, at) => value !== weight[at] ** 2)).toBe(-1)
  await kernels.close()
})

test('wasm searchScales and refine: more rows than fit the memory at a time are taken in strips, none lost or doubled', async () => {
  const kernels = await wasmKernels({ threads: 2 })
  // Strips of 8 MiB: 0.3 Mi rows of one column with candidates padded to 4; and of 64 MiB: 0.4 Mi rows that are padded to 16 columns.
  const rows = 1_500_000
  const weight = Float32Array.from({ length: rows }, (_, at) => (at % 7) + 1)
  const problem = { columns: 1, groupSize: 1, zeroPoint: null, min: -8, max: 7 }
  // The weight is 1 x the second candidate in odd rows, 1 x the first in even ones.
  const scale = Float32Array.from({ length: rows * 2 }, (_, at) =>
    at % 2 === Math.floor(at / 2) % 2 ? (weight[Math.floor(at / 2)] ?? 0) : 100,
  )
  const index = await kernels.searchScales({ ...problem, rows, weight, importance: null, candidates: 2, scale, norm: 2 })
  expect(index.findIndex((k, row) => k !== row % 2)).toBe(-1)
  const few = 500_000
  const refined = await kernels.refine({
    ...problem,
    rows: few,
    weight: weight.subarray(0, few),
    product: weight.subarray(0, few),
    hessian: new SymmetricMatrix([0, 1], [Float32Array.of(1)]),
    codes: new Int8Array(few),
    float: null,
    scale: new Float32Array(few).fill(1),
    rounds: 1,
    scaleDtype: 'F32',
  })
  expect(refined.codes.findIndex((code, row) => code !== weight[row])).toBe(-1)
  expect(refined.loss.findIndex((value) => value !== 0)).toBe(-1)
  await kernels.close()
})

test('wasm roundGroups: strips of more rows than fit and any number of threads give the bytes of rows one by one', async () => {
  // Strips of 8 MiB: 77672 rows of 8 columns, each with codes, a scale and 64 bytes of sums.
  const [rows, columns] = [200_000, 8]
  const weight = Float32Array.from({ length: rows * columns }, (_, at) => Math.fround(Math.sin(at * 12.9898) * (1 + (at % 11))))
  const search = { columns, groupSize: 8, ratios: [1, 1.05, 0.9, 0.8], signed: true, scaleDtype: 'BF16' as const, ...codesOf(4) }
  const results: Buffer[] = []
  for (const threads of [1, 2, 4]) {
    const kernels = await wasmKernels({ threads })
    const { codes, scale, loss, power } = await kernels.roundGroups({ ...search, rows, weight, memory: new SpareMemory() })
    results.push(Buffer.concat([codes, scale, loss, power].map(({ buffer }) => Buffer.from(buffer))))
    for (const row of [0, 1, 99_999, 140_000, 180_000, rows - 1]) {
      const alone = await kernels.roundGroups({ ...search, rows: 1, weight: weight.subarray(row * columns, (row + 1) * columns) })
      expect(alone.codes).toEqual(codes.subarray(row * columns, (row + 1) * columns))
      expect([alone.scale[0], alone.loss[0], alone.power[0]]).toEqual([scale[row], loss[row], power[row]])
    }
    await kernels.close()
  }
  expect(results[1]?.equals(results[0] ?? Buffer.alloc(0))).toBe(true)
  expect(results[2]?.equals(results[0] ?? Buffer.alloc(0))).toBe(true)
})

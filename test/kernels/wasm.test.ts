import { expect, test } from 'vitest'
import { referenceKernels } from '../../src/kernels/reference.ts'
import { wasmKernels } from '../../src/kernels/wasm.ts'
import { kernelContract } from './contract.ts'

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
    const { codes, loss } = await kernels.sweep({
      rows,
      columns,
      weight,
      factor,
      scale,
      zeroPoint: null,
      groups: 1,
      groupOf,
      min: -8,
      max: 7,
    })
    results.push(Buffer.concat([Buffer.from(factor.buffer), Buffer.from(codes.buffer), Buffer.from(loss.buffer)]))
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
    min: -8,
    max: 7,
  })
  expect(codes.findIndex((code, at) => code !== weight[at])).toBe(-1)
  expect(loss.findIndex((value) => value !== 0)).toBe(-1)
  await kernels.close()
})

import { expect, test } from 'vitest'
import { compare } from '../../src/eval/compare.ts'
import { verify } from '../../src/eval/verify.ts'
import { oracleFolder } from '../models/oracles.ts'

const [tiny, compressed] = [oracleFolder('tiny'), oracleFolder('checkpoints/rtn-w4a16')]

test('compare of a checkpoint with itself finds all the same', async () => {
  const { tensors, differing, bytes } = await compare(tiny, tiny)
  expect(tensors.length).toBeGreaterThan(14)
  expect(tensors.every(({ same, error, cosine, snr }) => same && error === 0 && cosine === 1 && snr === Infinity)).toBe(true)
  expect(differing).toEqual([])
  expect(bytes.a).toBe(bytes.b)
})

test("compare of an original with llm-compressor's checkpoint gives the errors that verify gives, and leaves the rest the same", async () => {
  const { tensors, differing, size } = await compare(tiny, compressed)
  const { linears } = await verify(compressed, { against: tiny })
  for (const { name, scheme, error } of linears) {
    if (error === null) continue
    const found = tensors.find((tensor) => tensor.name === name)
    expect(found).toMatchObject({ a: 'BF16', b: scheme, same: false })
    expect(found?.error).toBeCloseTo(error, 6)
    expect(found?.snr).toBeCloseTo(-10 * Math.log10(error), 3)
    // ‖b - a‖² = ‖a‖² + ‖b‖² - 2 a·b: an error of a hundredth is a cosine of about 1 - error / 2.
    expect(Math.abs(1 - (found?.cosine ?? 0) - error / 2)).toBeLessThan(error / 4)
  }
  expect(tensors.filter(({ same }) => !same)).toHaveLength(linears.filter(({ scheme }) => scheme).length)
  expect(differing).toEqual([])
  expect(size.compression_ratio).toBeGreaterThan(1.5)
})

test('compare of different models says what is in one of them only, or of another shape', async () => {
  const { differing } = await compare(tiny, oracleFolder('architectures/llama'))
  expect(differing.map(({ problem }) => problem.replace(/\[.*?\]/g, '[]'))).toContain('shapes [] and []')
})

test('compare tells of progress and can be stopped', async () => {
  const seen: string[] = []
  const stop = new AbortController()
  const onTensor = (name: string, index: number) => {
    seen.push(name)
    if (index === 2) stop.abort()
  }
  await expect(compare(tiny, compressed, { onTensor, signal: stop.signal })).rejects.toThrow(/abort/i)
  expect(seen).toHaveLength(3)
})

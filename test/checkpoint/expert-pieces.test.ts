import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { expertPieces } from '../../src/checkpoint/expert-pieces.ts'
import { PiecewiseReader } from '../../src/checkpoint/piecewise-reader.ts'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import type { TensorData } from '../../src/checkpoint/tensor.ts'
import { openModel } from '../../src/models/open-model.ts'
import { oracleFolder } from '../models/oracles.ts'
import { safetensorsFile } from './folders.ts'

function numbered(name: string, shape: number[], from: number): TensorData {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => from + i)
  return { name, dtype: 'F32', shape, bytes: new Uint8Array(values.buffer) }
}

async function withReader(
  tensors: readonly TensorData[],
  alternating: boolean,
  work: (reader: PiecewiseReader) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'pieces-'))
  await writeFile(join(folder, 'model.safetensors'), safetensorsFile(tensors))
  const stored = await openCheckpoint(folder)
  try {
    await work(new PiecewiseReader(stored, expertPieces(stored.tensors, alternating)))
  } finally {
    await stored.close()
    await rm(folder, { recursive: true })
  }
}

const sizes = fc.record({
  experts: fc.integer({ min: 1, max: 3 }),
  hidden: fc.integer({ min: 1, max: 5 }),
  inner: fc.integer({ min: 1, max: 5 }),
})

describe('PiecewiseReader', () => {
  test('shows each expert as linears, whichever way the stored tensors lie', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.boolean(), fc.boolean(), async ({ experts, hidden, inner }, turned, alternating) => {
        const gateUp = numbered('m.experts.gate_up_proj', turned ? [experts, hidden, 2 * inner] : [experts, 2 * inner, hidden], 0)
        const down = numbered('m.experts.down_proj', turned ? [experts, inner, hidden] : [experts, hidden, inner], 1000)
        const bias = numbered('m.experts.gate_up_proj_bias', [experts, 2 * inner], 5000)
        await withReader([gateUp, down, bias], alternating, async (reader) => {
          expect(reader.tensors.size).toBe(experts * 5)
          for (let expert = 0; expert < experts; expert++) {
            const gates = await reader.readFloats(`m.experts.${expert}.gate_proj.weight`)
            const ups = await reader.readFloats(`m.experts.${expert}.up_proj.weight`)
            const downs = await reader.readFloats(`m.experts.${expert}.down_proj.weight`)
            const upBias = await reader.readFloats(`m.experts.${expert}.up_proj.bias`)
            for (let i = 0; i < inner; i++) {
              const [gateAt, upAt] = alternating ? [2 * i, 2 * i + 1] : [i, inner + i]
              expect(upBias[i]).toBe(5000 + expert * 2 * inner + upAt)
              for (let h = 0; h < hidden; h++) {
                const at = (row: number) => expert * 2 * inner * hidden + (turned ? h * 2 * inner + row : row * hidden + h)
                expect([gates[i * hidden + h], ups[i * hidden + h]]).toEqual([at(gateAt), at(upAt)])
                expect(downs[h * inner + i]).toBe(1000 + expert * inner * hidden + (turned ? i * hidden + h : h * inner + i))
              }
            }
          }
        })
      }),
      { numRuns: 25 },
    )
  })

  test('lists the pieces in place of what they are cut from, which can still be read', async () => {
    const gateUp = numbered('m.experts.gate_up_proj', [2, 6, 4], 0)
    const other = numbered('m.experts.gate_up_proj_scales', [2, 6], 0)
    await withReader([gateUp, numbered('m.experts.down_proj', [2, 4, 3], 100), other], false, async (reader) => {
      expect([...reader.tensors.keys()].filter((name) => !/experts\.\d/.test(name))).toEqual([other.name])
      expect(reader.pieces.get('m.experts.1.up_proj.weight')?.name).toBe(gateUp.name)
      expect(Buffer.compare(await reader.read(gateUp.name), gateUp.bytes)).toBe(0)
      expect(reader.info('m.experts.1.down_proj.weight')).toMatchObject({ shape: [4, 3], dtype: 'F32' })
      const whole = await reader.read('m.experts.1.down_proj.weight')
      expect(await reader.readRange('m.experts.1.down_proj.weight', 8, 20)).toEqual(whole.slice(8, 20))
    })
  })

  test.each([
    ['of experts that differ in number', [2, 6, 4], [3, 4, 3]],
    ['that do not fit together', [2, 6, 4], [2, 4, 2]],
    ['of two dimensions', [6, 4], [4, 3]],
  ])('leaves tensors alone %s', async (_, gateUp, down) => {
    const tensors = [numbered('m.experts.gate_up_proj', gateUp, 0), numbered('m.experts.down_proj', down, 0)]
    await withReader(tensors, false, async (reader) => expect([...reader.tensors.keys()]).toHaveLength(2))
  })
})

describe('openModel', () => {
  // llmcompressor 0.14: linearize_moe of the model as transformers loads it, state_dict().
  test.each([
    ['up_proj.weight', 49.44620132446289],
    ['up_proj.bias', 14.777862548828125],
    ['gate_proj.weight', -12.218661308288574],
    ['gate_proj.bias', 2.85382080078125],
    ['down_proj.weight', -190.94134092330933],
    ['down_proj.bias', 12.929267883300781],
  ])('shows %s of an expert of gpt_oss as llm-compressor makes it', async (name, expected) => {
    const source = await openModel(oracleFolder('architectures/gpt_oss'))
    const values = await source.reader.readFloats(`model.layers.1.mlp.experts.1.${name}`)
    await source.close()
    expect(values.reduce((sum, value, i) => sum + value * (i % 97), 0)).toBeCloseTo(expected, 6)
  })
})

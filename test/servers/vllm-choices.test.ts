import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { QuantizationArgs } from '../../src/checkpoint/quantization-config.ts'
import type { Verdict } from '../../src/servers/server.ts'
import { vllm } from '../../src/servers/vllm.ts'
import { args } from './helpers.ts'

type Answer = '0' | '1' | '?'

/** Made by vllm_choices.py: what vLLM 0.32.0 itself says to every point of the grid. */
interface Choices {
  formats: string[]
  weights: Partial<QuantizationArgs>[]
  inputs: (Partial<QuantizationArgs> | null)[]
  sizes: [rows: number[], columns: number][]
  /** Runs of answers, by `cpu` or compute capability. */
  devices: Record<string, [Answer, number][]>
}

const choices = JSON.parse(readFileSync(new URL('vllm-choices.json', import.meta.url), 'utf8')) as Choices
const { formats, weights, inputs, sizes, devices } = choices
const grid = formats.flatMap((format) =>
  weights.flatMap((weight) =>
    inputs.flatMap((input) =>
      sizes.flatMap(([rows, columns]) => (columns % (weight.group_size ?? 1) === 0 ? [{ format, weight, input, rows, columns }] : [])),
    ),
  ),
)

function runsAt(verdict: Verdict, capability: number): boolean {
  return verdict.runs && capability >= (verdict.from ?? 0) && capability < (verdict.below ?? Number.POSITIVE_INFINITY)
}

/** Where a kernel is chosen and then cannot compute: what the rules refuse on top of vLLM's own choice. */
function chosenInVain({ format, weight, input }: (typeof grid)[number], device: string): boolean {
  const isInt4 = weight.type === 'int' && weight.num_bits === 4
  const bytes = device !== 'cpu' && isInt4 && input?.type === 'int' && format !== 'pack-quantized'
  const unpacked = device === '90' && isInt4 && input?.type === 'float' && format !== 'pack-quantized'
  const blackwell = Number(device) >= 100 && weight.type === 'int' && weight.num_bits === 8 && input !== null && format !== 'pack-quantized'
  const floats = format === 'pack-quantized' && weight.type === 'float'
  const blocks = weight.strategy === 'block' && input?.type === 'float' && input.dynamic === undefined
  return bytes || unpacked || blackwell || floats || blocks
}

describe('the rules of vLLM agree with vLLM 0.32.0', () => {
  test.each(Object.keys(devices))('on %s, for every scheme, format and size of the grid', (device) => {
    const answers = (devices[device] ?? []).flatMap(([answer, times]) => Array<Answer>(times).fill(answer))
    expect(answers).toHaveLength(grid.length)
    const different = grid.flatMap((point, i) => {
      const { format, weight, input, rows, columns } = point
      const { nvidia, cpu } = vllm.ruling({
        weights: args(weight),
        inputs: input && args(input),
        outputs: null,
        format,
        rows,
        columns,
        isHead: false,
        dtype: 'bfloat16',
      })
      const ours = device === 'cpu' ? cpu.runs : runsAt(nvidia, Number(device))
      const theirs = answers[i] === '1'
      const same = answers[i] === '?' || ours === theirs || (theirs && chosenInVain(point, device))
      return same ? [] : [JSON.stringify({ ours: device === 'cpu' ? cpu : nvidia, theirs, ...point })]
    })
    expect(different).toEqual([])
  })
})

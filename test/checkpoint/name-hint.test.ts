import { describe, expect, test } from 'vitest'
import { type NameHint, nameHint, nameSays } from '../../src/checkpoint/name-hint.ts'

const NOTHING: NameHint = { method: null, scheme: null, bits: null, groupSize: null }

// Names as they are on the hub, and of the kind that `compress` writes.
const NAMES: [string, Partial<NameHint> | null][] = [
  ['TheBloke/Llama-2-7B-AWQ', { method: 'AWQ' }],
  ['TheBloke/Mistral-7B-Instruct-v0.2-GPTQ', { method: 'GPTQ' }],
  ['thebloke/llama-2-13b-chat-gguf', { method: 'GGUF' }],
  ['./models/llama-2-7b.Q4_K_M.gguf', { method: 'GGUF', bits: 4 }],
  ['qwen2.5-7b-iq2_xxs', { method: 'GGUF', bits: 2 }],
  ['unsloth/llama-3-8b-bnb-4bit', { method: 'bitsandbytes', bits: 4 }],
  ['mlx-community/gemma-2-2b-it-8bit', { bits: 8 }],
  ['gemma-2-2b-it-4-Bit', { bits: 4 }],
  ['RedHatAI/Qwen3-8B-quantized.w4a16', { scheme: 'W4A16', bits: 4 }],
  ['Meta-Llama-3-8B-Instruct-W4A16-G128', { scheme: 'W4A16', bits: 4, groupSize: 128 }],
  ['Meta-Llama-3-8B-Instruct-w8a8', { scheme: 'W8A8', bits: 8 }],
  ['vicuna-13b-GPTQ-4bit-128g', { method: 'GPTQ', bits: 4, groupSize: 128 }],
  ['neuralmagic/Meta-Llama-3-8B-Instruct-FP8', { method: 'FP8', bits: 8 }],
  ['SmolLM2-135M-Instruct-INT4-W4A16-AWQ', { method: 'AWQ', scheme: 'W4A16', bits: 4 }],
  ['nvidia/Llama-3.1-8B-Instruct-NVFP4', { method: 'NVFP4', bits: 4 }],
  ['Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8@main', { method: 'GPTQ', bits: 8 }],
  ['meta-llama/Meta-Llama-3-8B-Instruct', null],
  ['HuggingFaceTB/SmolLM2-135M', null],
  ['microsoft/Phi-3-mini-4k-instruct', null],
  ['org/hawqs-and-gguffaw-bits', null],
  ['org/some-model-g128', null],
  ['org/base@awq', null],
  ['google/gemma-3-4b-it-qat-q4_0-unquantized', null],
  ['GPTQ-models/llama_3b', null],
  ['Qwen3-4B', null],
  ['', null],
]

describe('nameHint()', () => {
  test.each(NAMES)('%s', (name, expected) => {
    expect(nameHint(name)).toEqual(expected && { ...NOTHING, ...expected })
  })

  test.each(NAMES)('%s in capitals and in small letters', (name) => {
    expect(nameHint(name.toUpperCase())).toEqual(nameHint(name))
    expect(nameHint(name.toLowerCase())).toEqual(nameHint(name))
  })
})

describe('nameSays()', () => {
  test('has the parts in words', () => {
    expect(nameSays('x-gptq-4bit-128g')).toBe('its name says GPTQ, 4 bits, groups of 128')
    expect(nameSays('x-w4a16-g64')).toBe('its name says W4A16, groups of 64')
    expect(nameSays('x')).toBeNull()
  })

  test('says what to do with files of llama.cpp', () => {
    expect(nameSays('x-GGUF')).toMatch(/^its name says GGUF \(files of llama\.cpp, .* take the safetensors model/)
  })
})

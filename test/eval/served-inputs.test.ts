import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { forward } from '../../src/eval/forward.ts'
import { servedInputs } from '../../src/eval/served-inputs.ts'
import { CheckpointError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { editWeights, tensorStart } from '../e2e/model-copy.ts'
import { useEngine } from '../engine/engines.ts'
import { largestDifference, oracleFolder, oracleRows, runForward } from '../models/oracles.ts'
import { openForTest } from '../oneshot/runs.ts'

useEngine('wasm')

const ROWS = oracleRows('checkpoints/input_ids.safetensors', 'eval').slice(0, 1)
const K_SCALE = 'model.layers.0.self_attn.k_proj.input_scale'

type Args = Record<string, unknown>
interface Section {
  config_groups: { group_0: { weights: Args | null; input_activations: Args | null; output_activations: Args | null } }
  kv_cache_scheme: Args | null
}

/** A copy of a checkpoint with its quantization_config changed. */
async function checkpoint(name: string, edit: (section: Section) => void = () => {}): Promise<string> {
  const folder = join(await temporaryFolder(), name)
  await cp(oracleFolder(`checkpoints/${name}`), folder, { recursive: true })
  const path = join(folder, 'config.json')
  const config = JSON.parse(await readFile(path, 'utf8'))
  edit(config.quantization_config)
  await writeFile(path, JSON.stringify(config))
  return folder
}

function setScale(folder: string, bf16: number): Promise<void> {
  return editWeights(folder, (bytes) => {
    bytes.writeUInt16LE(bf16, tensorStart(bytes, K_SCALE))
    return bytes
  })
}

const PLAIN = { num_bits: 8, type: 'float', symmetric: true, dynamic: true, strategy: 'token' }
const inputsOf =
  (parts: Args) =>
  ({ config_groups: { group_0 } }: Section) => {
    group_0.input_activations = { ...PLAIN, ...parts }
  }

describe('servedInputs', () => {
  test('reads the stored scale of every linear', async () => {
    const served = await servedInputs(await openForTest(oracleFolder('checkpoints/fp8-static')))
    expect(served.size).toBe(14)
    for (const { args, scale } of served.values()) {
      expect(args).toMatchObject({ strategy: 'tensor', dynamic: false })
      expect(scale?.value).toBeGreaterThan(0)
      expect(scale?.zeroPoint).toBe(0)
    }
  })

  test('has no scale where ranges are found at run time, and nothing for weights alone', async () => {
    const dynamic = await servedInputs(await openForTest(oracleFolder('checkpoints/fp8-dynamic')))
    expect(new Set([...dynamic.values()].map(({ scale }) => scale))).toEqual(new Set([null]))
    expect((await servedInputs(await openForTest(oracleFolder('checkpoints/rtn-w4a16')))).size).toBe(0)
  })

  const CASES: [string, (section: Section) => void, RegExp][] = [
    ['a quantized cache', (section) => Object.assign(section, { kv_cache_scheme: { ...PLAIN, dynamic: false } }), /kv_cache_scheme/],
    [
      'quantized outputs',
      ({ config_groups: { group_0 } }) => Object.assign(group_0, { output_activations: PLAIN }),
      /output_activations of group_0/,
    ],
    ['inputs without weights', ({ config_groups: { group_0 } }) => Object.assign(group_0, { weights: null }), /inputs and no weights/],
    ['stored scales per group', inputsOf({ dynamic: false, strategy: 'group', group_size: 64 }), /stored ranges, strategy group/],
    ['asymmetric floats', inputsOf({ dynamic: false, strategy: 'tensor', symmetric: false }), /strategy tensor, asymmetric/],
    ['4-bit floats a token', inputsOf({ num_bits: 4 }), /4-bit float inputs of model\.layers\.0\.self_attn\.q_proj/],
    ['local ranges of tokens', inputsOf({ dynamic: 'local' }), /local ranges, strategy token/],
    ['groups that do not divide', inputsOf({ strategy: 'group', group_size: 96 }), /group size 96 does not divide 128/],
  ]

  test.each(CASES)('refuses %s before any compute', async (_, edit, message) => {
    const source = await openForTest(await checkpoint('fp8-dynamic', edit))
    const failure = forward(source, ROWS, { onHidden: () => expect.unreachable('computed') })
    await expect(failure).rejects.toThrow(CheckpointError)
    await expect(failure).rejects.toThrow(message)
  })

  test.each([
    [0, '0'],
    [0x7fc0, 'NaN'],
    [0xbf80, '-1'],
  ])('refuses the stored scale %d', async (bits, value) => {
    const folder = await checkpoint('fp8-static')
    await setScale(folder, bits)
    const failure = servedInputs(await openForTest(folder))
    await expect(failure).rejects.toThrow(CheckpointError)
    await expect(failure).rejects.toThrow(`${K_SCALE} is ${value}, expected one positive number`)
  })

  test('reads the global scale of inputs whose groups are scaled at run time', async () => {
    const served = await servedInputs(await openForTest(oracleFolder('checkpoints/nvfp4')))
    expect(served.size).toBe(14)
    for (const { args, scale } of served.values()) {
      expect(args).toMatchObject({ num_bits: 4, dynamic: 'local', strategy: 'tensor_group', group_size: 16 })
      expect(scale?.value).toBeGreaterThan(1)
    }
  })

  test('misses a stored zero point that is not there', async () => {
    const asymmetric = inputsOf({ type: 'int', strategy: 'tensor', dynamic: false, symmetric: false })
    const source = await openForTest(await checkpoint('fp8-static', asymmetric))
    await expect(servedInputs(source)).rejects.toThrow(/q_proj\.input_zero_point/)
  })

  test('misses a stored scale that is not there', async () => {
    const static8 = inputsOf({ strategy: 'tensor', dynamic: false })
    await expect(servedInputs(await openForTest(await checkpoint('fp8-dynamic', static8)))).rejects.toThrow(/q_proj\.input_scale/)
  })
})

describe('forward', () => {
  test('quantizes the input of each linear of a stage with its own scale', async () => {
    const folder = await checkpoint('fp8-static')
    const before = await runForward(folder, ROWS)
    await setScale(folder, 0x3f80)
    const after = await runForward(folder, ROWS)
    expect(largestDifference(before.logits, after.logits)).toBeGreaterThan(1e-3)
  })
})

describe('openModel', () => {
  test('refuses weights in groups that do not divide their columns', async () => {
    const folder = await checkpoint('rtn-w4a16', ({ config_groups: { group_0 } }) =>
      Object.assign(group_0.weights ?? {}, { group_size: 96 }),
    )
    const failure = openForTest(folder)
    await expect(failure).rejects.toThrow(CheckpointError)
    await expect(failure).rejects.toThrow(/q_proj does not fit: group size 96 does not divide 128/)
  })
})

import { describe, expect, test } from 'vitest'
import type { QuantizationArgs } from '../../src/checkpoint/quantization-config.ts'
import { type PartialArgs, type Role, resolveArgs } from '../../src/schemes/args.ts'
import { findPreset, isPresetName, PRESETS, UNAVAILABLE_PRESETS } from '../../src/schemes/presets.ts'
import { groupSizeProblem, legalGroupSizes, resolveGroupSize, schemeLabel } from '../../src/schemes/scheme.ts'
import { SchemeError } from '../../src/schemes/scheme-error.ts'
import { args, scheme } from '../checkpoint/schemes.ts'

function pathOf(read: () => unknown): readonly (string | number)[] {
  try {
    read()
  } catch (error) {
    if (error instanceof SchemeError) return error.path
  }
  throw new Error('expected a SchemeError')
}

describe('resolveArgs', () => {
  test('fills in the defaults of compressed-tensors: int8 per tensor, symmetric, static', () => {
    expect(resolveArgs({})).toEqual({
      num_bits: 8,
      type: 'int',
      strategy: 'tensor',
      group_size: null,
      block_structure: null,
      symmetric: true,
      dynamic: false,
      actorder: null,
      scale_dtype: null,
      zp_dtype: null,
      observer: null,
      observer_kwargs: {},
    })
  })

  test.each<[PartialArgs, string, number | null]>([
    [{ group_size: 64 }, 'group', 64],
    [{ group_size: -1 }, 'channel', null],
    [{ group_size: 'auto' }, 'group', null],
    [{ strategy: 'CHANNEL' }, 'channel', null],
  ])('infers the strategy of %o as %s', (partial, strategy, size) => {
    expect(resolveArgs(partial)).toMatchObject({ strategy, group_size: size })
  })

  test('takes a block structure as a list or as text', () => {
    expect(resolveArgs({ strategy: 'block', block_structure: '64x128' }).block_structure).toEqual([64, 128])
    expect(resolveArgs({ strategy: 'block', block_structure: [128, 128] }).block_structure).toEqual([128, 128])
  })

  test('takes the args that the reference writes into config.json', () => {
    const written = {
      num_bits: 4,
      type: 'int',
      strategy: 'group',
      group_size: 128,
      symmetric: false,
      zp_dtype: 'torch.int8',
      dynamic: false,
      observer: 'memoryless_minmax',
      observer_kwargs: {},
      actorder: null,
      scale_dtype: null,
      block_structure: null,
    }
    expect(resolveArgs(written)).toMatchObject({ num_bits: 4, symmetric: false, group_size: 128 })
  })

  test.each<[PartialArgs, Role, string]>([
    [{ num_bits: 9 }, 'weights', 'num_bits'],
    [{ num_bits: 1 }, 'weights', 'num_bits'],
    [{ num_bits: 6, type: 'float' }, 'weights', 'num_bits'],
    [{ num_bits: 4, type: 'float' }, 'weights', 'strategy'],
    [{ num_bits: 4, type: 'float', group_size: 16 }, 'weights', 'group_size'],
    [{ num_bits: 4, type: 'float', strategy: 'tensor_group', group_size: 32 }, 'weights', 'group_size'],
    [{ num_bits: 4, type: 'float', group_size: 32, scale_dtype: 'torch.float8_e4m3fn' }, 'weights', 'scale_dtype'],
    [{ type: 'float', strategy: 'tensor_group', group_size: 16 }, 'weights', 'num_bits'],
    [{ num_bits: 4, strategy: 'tensor_group', group_size: 16 }, 'weights', 'strategy'],
    [{ type: 'float', group_size: 64, scale_dtype: 'torch.uint8' }, 'weights', 'group_size'],
    [{ type: 'float', group_size: 32, zp_dtype: 'torch.int8' }, 'weights', 'zp_dtype'],
    [{ num_bits: 5, strategy: 'token', dynamic: true }, 'input_activations', 'num_bits'],
    [{ num_bits: 4, strategy: 'tensor' }, 'input_activations', 'dynamic'],
    [{ group_size: 64 }, 'input_activations', 'dynamic'],
    [{ strategy: 'tensor', dynamic: 'local' }, 'input_activations', 'dynamic'],
    [{ strategy: 'tensor_group', num_bits: 4, type: 'float', group_size: 16, dynamic: true }, 'input_activations', 'dynamic'],
    [{ strategy: 'tensor', observer: 'mse' }, 'input_activations', 'observer'],
    [{ strategy: 'tensor', observer_kwargs: { grid: 3 } }, 'input_activations', 'observer_kwargs'],
    [{ strategy: 'token', dynamic: true, observer: 'minmax' }, 'input_activations', 'observer'],
    [{ type: 'fixed' }, 'weights', 'type'],
    [{ strategy: 'grup' }, 'weights', 'strategy'],
    [{ strategy: 'token', dynamic: true }, 'weights', 'strategy'],
    [{ strategy: 'channel', group_size: 64 }, 'weights', 'group_size'],
    [{ strategy: 'group' }, 'weights', 'group_size'],
    [{ group_size: 0 }, 'weights', 'group_size'],
    [{ strategy: 'block' }, 'weights', 'block_structure'],
    [{ strategy: 'block', block_structure: [128] }, 'weights', 'block_structure'],
    [{ block_structure: [128, 128] }, 'weights', 'block_structure'],
    [{ dynamic: true }, 'weights', 'dynamic'],
    [{ strategy: 'token' }, 'input_activations', 'dynamic'],
    [{ actorder: 'group' }, 'weights', 'actorder'],
    [{ actorder: true }, 'weights', 'actorder'],
    [{ symmetric: false, type: 'float' }, 'weights', 'symmetric'],
    [{ scale_dtype: 'torch.uint8' }, 'weights', 'scale_dtype'],
    [{ observer: 'msee' }, 'weights', 'observer'],
    [{ observer: 'mse', observer_kwargs: { grid: 0 } }, 'weights', 'observer_kwargs'],
    [{ observer: 'mse', observer_kwargs: { strict: true } }, 'weights', 'observer_kwargs'],
    [{ observer_kwargs: { grid: 3 } }, 'weights', 'observer_kwargs'],
  ])('refuses %o for %s and points at %s', (partial, role, key) => {
    expect(pathOf(() => resolveArgs(partial, role))).toEqual([key])
  })

  test('keeps the observer of stored ranges, and the one llm-compressor takes where none is named', () => {
    const inputs = (parts: PartialArgs) => resolveArgs({ type: 'float', ...parts }, 'input_activations')
    expect(inputs({ observer: 'STATIC_MINMAX' })).toMatchObject({ dynamic: false, observer: 'static_minmax' })
    expect(inputs({})).toMatchObject({ observer: 'minmax', observer_kwargs: {} })
    expect(inputs({ observer: 'minmax', observer_kwargs: { averaging_constant: 0.5 } }).observer_kwargs).toEqual({
      averaging_constant: 0.5,
    })
    expect(resolveArgs({ symmetric: false }, 'input_activations')).toMatchObject({ symmetric: false, strategy: 'tensor', dynamic: false })
  })

  test('knows small floats by their groups and fills in what their scales are stored as', () => {
    const float4: PartialArgs = { num_bits: 4, type: 'float' }
    expect(resolveArgs({ ...float4, strategy: 'tensor_group', group_size: 16 }).scale_dtype).toBe('torch.float8_e4m3fn')
    expect(resolveArgs({ ...float4, group_size: 32, zp_dtype: 'torch.uint8' })).toMatchObject({
      scale_dtype: 'torch.uint8',
      zp_dtype: null,
    })
    expect(resolveArgs({ type: 'float', group_size: 32, scale_dtype: 'uint8' }).scale_dtype).toBe('torch.uint8')
    expect(resolveArgs({ type: 'float', group_size: 32 }).scale_dtype).toBeNull()
  })

  test('names the nearest strategy', () => {
    expect(() => resolveArgs({ strategy: 'grup' })).toThrow(/found "grup".*did you mean "group"\?/)
  })
})

describe('group sizes', () => {
  const auto = resolveArgs({ num_bits: 4, group_size: 'auto' })

  test('legalGroupSizes lists what divides, or one group for the whole row', () => {
    expect(legalGroupSizes(1536)).toEqual([128, 64, 32])
    expect(legalGroupSizes(576)).toEqual([64, 32])
    expect(legalGroupSizes(100)).toEqual([100])
  })

  test('groupSizeProblem says what to use instead', () => {
    expect(groupSizeProblem(resolveArgs({ group_size: 128 }), 576)).toBe(
      'group size 128 does not divide 576, use 64, 32 or -1 (one scale per row)',
    )
    expect(groupSizeProblem(resolveArgs({ group_size: 64 }), 576)).toBeNull()
    expect(groupSizeProblem(resolveArgs({ group_size: -1 }), 577)).toBeNull()
    expect(groupSizeProblem(resolveArgs(findPreset('NVFP4').weights), 100)).toBe(
      'group size 16 does not divide 100, and NVFP4 has no other: list the module under ignore',
    )
  })

  test('resolveGroupSize takes the largest size that divides every width', () => {
    expect(resolveGroupSize(auto, [576, 1536]).group_size).toBe(64)
    expect(resolveGroupSize(auto, [2048, 8192]).group_size).toBe(128)
    expect(() => resolveGroupSize(auto, [576, 100])).toThrow(/none of 128, 64, 32 divides all of 576, 100/)
    const channel = resolveArgs({ group_size: -1 })
    expect(resolveGroupSize(channel, [7])).toBe(channel)
  })
})

describe('presets', () => {
  test('every preset resolves', () => {
    for (const name of Object.keys(PRESETS)) {
      const preset = findPreset(name)
      expect(resolveArgs(preset.weights).num_bits, name).toBeGreaterThan(1)
      const dynamic = preset.input_activations && resolveArgs(preset.input_activations, 'input_activations').dynamic
      expect(dynamic, name).toBe(preset.input_activations?.dynamic ?? null)
    }
  })

  test('names are found in any case', () => {
    expect(findPreset('fp8_dynamic')).toBe(PRESETS.FP8_DYNAMIC)
    expect(isPresetName('nvfp4a16')).toBe(true)
    expect(isPresetName('constructor')).toBe(false)
  })

  test('presets of llm-compressor that are not built say so, with what there is', () => {
    for (const name of Object.keys(UNAVAILABLE_PRESETS))
      expect(() => findPreset(name)).toThrow(/not available in this version .*expected one of .*W4A16/)
  })

  test('an unknown name gets the nearest one', () => {
    expect(() => findPreset('FP8_DYNAMC')).toThrow(/did you mean "FP8_DYNAMIC"\?/)
  })
})

test.each([
  ['W4A16', {}, 'W4A16 g128'],
  ['W4A16_ASYM', { group_size: 64 }, 'W4A16 g64 asym'],
  ['W8A8', {}, 'W8A8 channel'],
  ['W4A8', {}, 'W4A8 g128'],
  ['W4AFP8', {}, 'W4AFP8 g128'],
  ['W4A4', { group_size: 32 }, 'W4A4 g32'],
  ['FP8', {}, 'FP8 tensor static'],
  ['FP8_DYNAMIC', {}, 'FP8 dynamic'],
  ['FP8_BLOCK', {}, 'FP8 block 128x128 dynamic'],
  ['NVFP4A16', {}, 'NVFP4 g16 weight-only'],
  ['NVFP4', {}, 'NVFP4 g16 local'],
  ['MXFP4A16', {}, 'MXFP4 g32 weight-only'],
  ['MXFP4', {}, 'MXFP4 g32 dynamic'],
  ['MXFP8A16', {}, 'MXFP8 g32 weight-only'],
  ['MXFP8', {}, 'MXFP8 g32 dynamic'],
])('schemeLabel of %s with %o is %s', (name, change, label) => {
  const preset = findPreset(name)
  const inputs = preset.input_activations
  expect(
    schemeLabel({
      targets: ['Linear'],
      weights: resolveArgs({ ...preset.weights, ...change }),
      input_activations: inputs && resolveArgs(inputs, 'input_activations'),
      output_activations: null,
      format: null,
    }),
  ).toBe(label)
})

describe('schemeLabel of what other programs write', () => {
  const fp4 = args({ num_bits: 4, type: 'float', strategy: 'tensor_group', group_size: 16, scale_dtype: 'torch.float8_e4m3fn' })
  const mxfp4 = args({ num_bits: 4, type: 'float', strategy: 'group', group_size: 32, scale_dtype: 'torch.uint8' })
  const fp8 = args({ type: 'float' })
  const labels: [string, QuantizationArgs, QuantizationArgs | null][] = [
    ['NVFP4 g16 weight-only', fp4, null],
    ['NVFP4 g16 local', fp4, { ...fp4, dynamic: 'local' }],
    ['NVFP4 g16 AFP8 dynamic', fp4, { ...fp8, strategy: 'token', dynamic: true }],
    ['MXFP4 g32 weight-only', mxfp4, null],
    ['MXFP8 g32 dynamic', { ...mxfp4, num_bits: 8 }, { ...mxfp4, num_bits: 8, dynamic: true }],
    ['FP4 g32 weight-only', { ...mxfp4, scale_dtype: null }, null],
    ['FP8 tensor static', fp8, fp8],
    ['FP8 tensor dynamic', fp8, { ...fp8, dynamic: true }],
    ['W8A8 tensor static', args({}), args({})],
    ['W8A8 tensor', args({}), args({ dynamic: true })],
  ]
  test.each(labels)('%s', (label, weights, input_activations) => {
    expect(schemeLabel(scheme({ weights, input_activations }))).toBe(label)
  })
})

import { describe, expect, test } from 'vitest'
import { resolveKvCacheScheme } from '../../src/schemes/kv-cache.ts'
import { resolveSchemes, type SchemeOptions } from '../../src/schemes/resolve.ts'
import { SchemeError } from '../../src/schemes/scheme-error.ts'

function failure(options: SchemeOptions): SchemeError {
  try {
    resolveSchemes(options)
  } catch (error) {
    if (error instanceof SchemeError) return error
  }
  throw new Error('expected a SchemeError')
}

const weights = { num_bits: 4, group_size: 64 }

describe('resolveSchemes', () => {
  test('a preset applies to the targets, Linear if there are none; a bare text is one target', () => {
    expect(resolveSchemes({ scheme: 'w4a16' })).toMatchObject([
      { name: 'group_0', scheme: { targets: ['Linear'], weights: { group_size: 128 } }, path: ['targets'] },
    ])
    expect(resolveSchemes({ scheme: 'W8A8', targets: 're:.*mlp.*' })[0]?.scheme.targets).toEqual(['re:.*mlp.*'])
  })

  test('a mapping of presets gives each its targets', () => {
    const schemes = resolveSchemes({ scheme: { W4A16: 're:.*mlp.*', FP8_DYNAMIC: ['re:.*self_attn.*'] }, targets: ['Linear'] })
    expect(schemes).toMatchObject([
      { name: 'group_0', scheme: { targets: ['re:.*mlp.*'] }, path: ['scheme', 'W4A16'] },
      { name: 'group_1', scheme: { targets: ['re:.*self_attn.*'], weights: { type: 'float' }, input_activations: { dynamic: true } } },
    ])
  })

  test('config_groups keep their names; a group may be a preset with its targets', () => {
    const schemes = resolveSchemes({ config_groups: { mine: { targets: 'Linear', weights }, W8A16: ['lm_head'] } })
    expect(schemes).toMatchObject([
      {
        name: 'mine',
        scheme: { targets: ['Linear'], weights: { strategy: 'group', group_size: 64 } },
        path: ['config_groups', 'mine', 'targets'],
      },
      { name: 'W8A16', scheme: { targets: ['lm_head'], weights: { num_bits: 8 } }, path: ['config_groups', 'W8A16'] },
    ])
  })

  test('group_size replaces the size of the preset', () => {
    expect(resolveSchemes({ scheme: 'W4A16', group_size: 64 })[0]?.scheme.weights).toMatchObject({ strategy: 'group', group_size: 64 })
    expect(resolveSchemes({ scheme: 'W4A16', group_size: -1 })[0]?.scheme.weights).toMatchObject({ strategy: 'channel', group_size: null })
    expect(resolveSchemes({ scheme: 'W4A16', group_size: 'auto' })[0]?.scheme.weights).toMatchObject({
      strategy: 'group',
      group_size: null,
    })
  })

  test('observers at the level of the modifier replace those of the schemes that observe', () => {
    const [fp8, dynamic] = resolveSchemes({
      scheme: { FP8: 're:.*mlp.*', FP8_DYNAMIC: 're:.*attn.*' },
      observer: { weights: 'mse', input: 'minmax' },
    })
    expect(fp8?.scheme).toMatchObject({ weights: { observer: 'memoryless_mse' }, input_activations: { observer: 'minmax' } })
    expect(dynamic?.scheme).toMatchObject({ weights: { observer: 'memoryless_mse' }, input_activations: { observer: null } })
    const groups = { config_groups: { g: { targets: ['Linear'], weights: { ...weights, observer: 'minmax' } } } }
    expect(resolveSchemes({ ...groups, weight_observer: 'imatrix_mse' })[0]?.scheme.weights?.observer).toBe('imatrix_mse')
  })

  test('the cache can be all there is to quantize', () => {
    expect(resolveSchemes({ kv_cache_scheme: { type: 'float', strategy: 'attn_head' } })).toEqual([])
    expect(resolveKvCacheScheme({ type: 'float', strategy: 'attn_head' })).toMatchObject({
      num_bits: 8,
      strategy: 'attn_head',
      dynamic: false,
      observer: 'minmax',
    })
  })

  test('W4AFP8 is stored packed', () => {
    expect(resolveSchemes({ scheme: 'W4AFP8' })[0]?.scheme.format).toBe('pack-quantized')
  })

  test.each<[SchemeOptions, (string | number)[], RegExp]>([
    [{}, [], /found neither scheme nor config_groups/],
    [{ config_groups: {} }, [], /found neither/],
    [{ scheme: 'W4A16', config_groups: { g: { targets: ['Linear'], weights } } }, ['scheme'], /together/],
    [{ targets: ['q'], config_groups: { g: { targets: ['Linear'], weights } } }, ['targets'], /within each group/],
    [{ group_size: 64, config_groups: { g: { targets: ['Linear'], weights } } }, ['group_size'], /within the weights/],
    [{ scheme: { W4A16: ['Linear'] }, targets: ['q'] }, ['targets'], /beside each scheme/],
    [{ scheme: 'W4A17' }, ['scheme'], /did you mean/],
    [{ scheme: { W4A17: ['Linear'] } }, ['scheme', 'W4A17'], /no preset/],
    [{ scheme: 'W8A8', group_size: 64 }, ['group_size'], /has no groups/],
    [{ scheme: 'MXFP4', group_size: 64 }, ['group_size'], /has no groups of ints/],
    [{ scheme: 'W4A16', kv_cache_scheme: { num_bits: 8 } }, ['kv_cache_scheme', 'type'], /8-bit float caches/],
    [{ kv_cache_scheme: { num_bits: 4, type: 'float' } }, ['kv_cache_scheme', 'num_bits'], /8-bit float caches/],
    [{ kv_cache_scheme: { type: 'float', dynamic: true } }, ['kv_cache_scheme', 'dynamic'], /stored scales/],
    [{ kv_cache_scheme: { type: 'float', strategy: 'channel' } }, ['kv_cache_scheme', 'strategy'], /tensor, attn_head/],
    [{ kv_cache_scheme: { type: 'float', symmetric: false } }, ['kv_cache_scheme', 'symmetric'], /expected true/],
    [{ scheme: 'W4A16', weight_observer: 'msee' }, ['weight_observer'], /did you mean "mse"/],
    [{ scheme: 'FP8', output_observer: 'minmax' }, ['output_observer'], /outputs are not quantized/],
    [{ scheme: 'W4A16', observer: { input: 'minmax' } }, ['observer', 'input'], /nothing is observed/],
    [{ scheme: 'W4A16', weight_observer: 'minmax', observer: { weights: 'minmax' } }, ['weight_observer'], /both/],
    [{ scheme: 'W4A16', targets: [] }, ['targets'], /no targets/],
    [{ scheme: 'W4A16', ignore: ['lm_head', 're:('] }, ['ignore', 1], /re:\(/],
    [{ config_groups: { g: { targets: ['Linear'], weights: { num_bits: 12 } } } }, ['config_groups', 'g', 'weights', 'num_bits'], /2 to 8/],
    [{ config_groups: { g: { targets: ['Linear'] } } }, ['config_groups', 'g'], /found no weights/],
    [
      { config_groups: { g: { targets: ['Linear'], weights, output_activations: {} } } },
      ['config_groups', 'g', 'output_activations'],
      /not available/,
    ],
  ])('refuses %o and points at %o', (options, path, message) => {
    const error = failure(options)
    expect(error.path).toEqual(path)
    expect(error.message).toMatch(message)
  })
})

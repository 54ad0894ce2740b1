import { match } from 'ts-pattern'
import type { StoredTensor } from '../checkpoint/layouts/layout.ts'
import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'
import type { FloatDType } from '../numerics/dtype.ts'
import { encodeFloats } from '../numerics/float-dtype.ts'
import { bytesOf } from '../numerics/view.ts'
import type { Range } from './activation-range.ts'
import { globalScaleOf, gridOfRanges } from './qparams.ts'

/**
 * What a linear's checkpoint holds about its inputs, beside its weight: `input_scale` [1] in the model's type for static ones, with
 * `input_zero_point` I8 [1] when asymmetric; `input_global_scale` F32 [1] for those whose groups are scaled at run time (NVFP4, `dynamic:
 * local`); nothing for dynamic ones and none.
 */
export function activationTensors({ input_activations: inputs }: QuantizationScheme, dtype: FloatDType): StoredTensor[] {
  return match(inputs)
    .with(null, { dynamic: true }, () => [])
    .with({ dynamic: 'local' }, () => [{ suffix: 'input_global_scale', dtype: 'F32', shape: [1] } as const])
    .with({ dynamic: false }, ({ symmetric }) => {
      const scale: StoredTensor = { suffix: 'input_scale', dtype, shape: [1] }
      return symmetric ? [scale] : [scale, { suffix: 'input_zero_point', dtype: 'I8', shape: [1] } as const]
    })
    .exhaustive()
}

/** The bytes of `activationTensors`, by suffix, for inputs that range from `min` to `max` on the calibration rows. */
export function activationBytes(scheme: QuantizationScheme, dtype: FloatDType, range: Range): Map<string, Uint8Array> {
  const inputs = scheme.input_activations
  if (inputs === null || inputs.dynamic === true) return new Map()
  if (inputs.dynamic === 'local') {
    const scale = globalScaleOf(Math.max(-range.min, range.max))
    return new Map([['input_global_scale', encodeFloats(Float32Array.of(scale), 'F32')]])
  }
  const { scale, zeroPoint } = gridOf(inputs, dtype, [range])
  const bytes = new Map([['input_scale', encodeFloats(scale, dtype)]])
  return zeroPoint === null ? bytes : bytes.set('input_zero_point', bytesOf(zeroPoint))
}

/**
 * What an attention module's checkpoint holds about its key-value cache: `k_scale` and `v_scale` in the model's type, [1], or for strategy
 * attn_head [heads, 1, 1] of `heads` key-value heads.
 */
export function cacheTensors(args: QuantizationArgs, heads: number, dtype: FloatDType): StoredTensor[] {
  const shape = args.strategy === 'attn_head' ? [heads, 1, 1] : [1]
  return ['k_scale', 'v_scale'].map((suffix) => ({ suffix, dtype, shape }))
}

/**
 * The bytes of `cacheTensors`, by suffix, for keys (after rotary embedding) and values whose ranges on the calibration rows are `k` and
 * `v`: one of each, or one a head.
 */
export function cacheBytes(
  args: QuantizationArgs,
  dtype: FloatDType,
  { k, v }: { readonly k: readonly Range[]; readonly v: readonly Range[] },
): Map<string, Uint8Array> {
  return new Map([
    ['k_scale', encodeFloats(gridOf(args, dtype, k).scale, dtype)],
    ['v_scale', encodeFloats(gridOf(args, dtype, v).scale, dtype)],
  ])
}

/** One scale a range; zero is made part of each. */
function gridOf(args: QuantizationArgs, dtype: FloatDType, ranges: readonly Range[]) {
  const low = Float32Array.from(ranges, ({ min }) => Math.min(0, min))
  const high = Float32Array.from(ranges, ({ max }) => Math.max(0, max))
  return gridOfRanges(low, high, [ranges.length], args, dtype, null)
}

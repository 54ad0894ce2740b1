import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import { type Grid, minMaxGrid } from '../schemes/qparams.ts'
import { dequantize, quantizeToGrid } from '../schemes/quantize.ts'

/** What a checkpoint stores about the inputs of a linear, or about a cache. */
export interface StoredScale {
  /** Static: the one scale of all inputs. Local (NVFP4): the global scale that those of the groups are divided by. */
  readonly value: number
  /** Signed; 0 for symmetric inputs. */
  readonly zeroPoint: number
}

/**
 * Activations as a server computes with them: quantized and back, with the scale that is `stored`, or (null) with ranges found on the spot.
 * x [tokens, columns]; a token's scale is a row's, so `token` is what `channel` is for weights. LLM.int8 multiplies codes: see llm-int8.ts.
 */
export function fakeQuantize(
  x: Float32Array,
  tokens: number,
  columns: number,
  args: QuantizationArgs,
  stored: StoredScale | null = null,
): Float32Array {
  const tiled: QuantizationArgs = args.strategy === 'token' ? { ...args, strategy: 'channel' } : args
  const grid =
    stored !== null && args.dynamic === false ? staticGrid(args, stored) : minMaxGrid(x, tokens, columns, tiled, 'F32', stored?.value)
  return dequantize(quantizeToGrid(x, tokens, columns, tiled, grid))
}

/**
 * Keys (after rotary embedding) or values [tokens, heads * size] as a quantized cache gives them back: every head with its own of `scales`,
 * or all with the only one.
 */
export function fakeQuantizeCache(x: Float32Array, tokens: number, args: QuantizationArgs, scales: Float32Array): Float32Array {
  const columns = x.length / tokens
  const tiled: QuantizationArgs = { ...args, strategy: 'block', block_structure: [tokens, columns / scales.length] }
  const grid: Grid = { scale: scales, scaleShape: [1, scales.length], scaleDtype: 'F32', zeroPoint: null, globalScale: null }
  return dequantize(quantizeToGrid(x, tokens, columns, tiled, grid))
}

function staticGrid({ symmetric }: QuantizationArgs, { value, zeroPoint }: StoredScale): Grid {
  return {
    scale: Float32Array.of(value),
    scaleShape: [1],
    scaleDtype: 'F32',
    zeroPoint: symmetric ? null : Int8Array.of(zeroPoint),
    globalScale: null,
  }
}

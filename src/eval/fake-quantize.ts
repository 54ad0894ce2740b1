import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import { minMaxGrid } from '../schemes/qparams.ts'
import { dequantize, quantizeToGrid } from '../schemes/quantize.ts'

/**
 * Activations as a server computes with them: quantized and back, with one symmetric `scale` for all of them, or (null) with ranges found
 * on the spot. x [tokens, columns]; a token's scale is a row's, so `token` is what `channel` is for weights.
 */
export function fakeQuantize(x: Tensor2D, args: QuantizationArgs, scale: number | null = null): Tensor2D {
  const [tokens, columns] = x.shape
  const values = x.dataSync() as Float32Array
  const perRow: QuantizationArgs = args.strategy === 'token' ? { ...args, strategy: 'channel' } : args
  const grid =
    scale === null
      ? minMaxGrid(values, tokens, columns, perRow, 'F32')
      : { scale: Float32Array.of(scale), scaleShape: [1], scaleDtype: 'F32' as const, zeroPoint: null, globalScale: null }
  return tf.tensor2d(dequantize(quantizeToGrid(values, tokens, columns, perRow, grid)), [tokens, columns])
}

import type { Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import { minMaxGrid } from '../schemes/qparams.ts'
import { dequantize, quantizeToGrid } from '../schemes/quantize.ts'

/**
 * Activations as a server computes with them: quantized with ranges found on the spot, and back. x [tokens, columns]; a token's scale is
 * a row's, so `token` is what `channel` is for weights.
 */
export function fakeQuantize(x: Tensor2D, args: QuantizationArgs): Tensor2D {
  const [tokens, columns] = x.shape
  const values = x.dataSync() as Float32Array
  const perRow: QuantizationArgs = args.strategy === 'token' ? { ...args, strategy: 'channel' } : args
  const grid = minMaxGrid(values, tokens, columns, perRow, 'F32')
  return tf.tensor2d(dequantize(quantizeToGrid(values, tokens, columns, perRow, grid, 'F32')), [tokens, columns])
}

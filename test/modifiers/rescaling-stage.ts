import * as tf from '@tensorflow/tfjs-core'
import type { QuantizationScheme } from '../../src/checkpoint/quantization-config.ts'
import { openEngine } from '../../src/engine/open.ts'
import { openKernels } from '../../src/kernels/open.ts'
import type { Linear, Modifier, Stage } from '../../src/modifiers/modifier.ts'

/** What a transform asked for, in order: the divisors that it wanted. */
export type Asked = Float32Array[]

/**
 * Lets a transform work on linears that read `input` [tokens, columns], in two batches; the linears and the input are rescaled in place.
 * `inEffect`: what the source makes of the divisors, where it rounds.
 */
export async function rescale(
  modifier: Modifier,
  linears: readonly Linear[],
  targets: ReadonlyMap<Linear, QuantizationScheme>,
  input: Float32Array,
  inEffect: (divisors: Float32Array) => Float32Array = (divisors) => divisors,
): Promise<Asked> {
  const asked: Asked = []
  const { columns } = linears[0]
  const kernels = await openKernels({ threads: 1 })
  const stage: Stage = {
    name: 'model.layers.0 · attention inputs',
    linears,
    engine: await openEngine({ engine: 'wasm', threads: 2 }),
    kernels,
    signal: new AbortController().signal,
    hasInputs: true,
    addsToResidual: false,
    eachInput: async (visit) => {
      const half = Math.ceil(input.length / columns / 2) * columns
      for (const part of [input.subarray(0, half), input.subarray(half)]) {
        const length = part.length / columns
        const x = tf.tensor2d(part, [length, columns])
        visit(x, { rows: 1, length, heldBack: false, residual: null, original: null })
        x.dispose()
      }
    },
    rescaleInputs: async (divisors) => {
      asked.push(divisors)
      const real = inEffect(divisors)
      for (let i = 0; i < input.length; i++) input[i] /= real[i % columns]
      for (const { weight } of linears) for (let i = 0; i < weight.length; i++) weight[i] *= real[i % columns]
      return real
    },
  }
  try {
    await modifier.apply(stage, targets)
    return asked
  } finally {
    await kernels.close()
  }
}

/** y = x Wᵀ [tokens, rows] in float64. */
export function outputs(input: Float32Array, { weight, rows, columns }: Linear): Float64Array {
  const tokens = input.length / columns
  const y = new Float64Array(tokens * rows)
  for (let t = 0; t < tokens; t++) {
    for (let r = 0; r < rows; r++) {
      let sum = 0
      for (let c = 0; c < columns; c++) sum += input[t * columns + c] * weight[r * columns + c]
      y[t * rows + r] = sum
    }
  }
  return y
}

/** The largest |a - b| / |b|. */
export function relativeDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  let largest = 0
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) largest = Math.max(largest, Math.abs(a[i] - b[i]) / Math.abs(b[i]))
  return largest
}

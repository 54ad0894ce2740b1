import * as tf from '@tensorflow/tfjs-core'
import { span } from '../util/span.ts'
import { matMul } from './mat-mul.ts'
import { tensorflowKernel } from './tensorflow-kernel.ts'

/** Up to this side TensorFlow's own kernels are faster than products of halves (Cholesky and solve are single-threaded, half empty). */
const SMALLEST_HALVED = 192

/**
 * U (upper, row major [n, n]) with inverse(H) = UᵀU, float32, on the TensorFlow backend. With J the reversal of rows and columns,
 * JHJ = LLᵀ gives H = (JLJ)(JLJ)ᵀ, JLJ upper, so U = J L⁻¹ J: one factorisation instead of Cholesky, inverse, Cholesky. Null when H is
 * not positive definite: TensorFlow then fills L with NaN.
 */
export async function inverseFactor(h: Float32Array, n: number): Promise<Float32Array | null> {
  // A factor n³ / 3, its inverse as much again.
  return span('kernel', 'inverseFactor', () => reversedFactor(h, n), (2 / 3) * n ** 3)
}

async function reversedFactor(h: Float32Array, n: number): Promise<Float32Array | null> {
  const inverse = tf.tidy(() => inverseCholesky(tf.tensor2d(h.slice().reverse(), [n, n])))
  const values = inverse.dataSync<'float32'>()
  inverse.dispose()
  // Reversing rows and columns of a row-major matrix is reversing its elements.
  const factor = Float32Array.from(values).reverse()
  return isFactor(factor, n) ? factor : null
}

/**
 * L⁻¹ of a = LLᵀ, lower, by halves, so that nearly all work is products: with a = [[A, Bᵀ], [B, C]], F = L⁻¹ of A, K = B Fᵀ and G = L⁻¹ of
 * C - K Kᵀ it is [[F, 0], [-G K F, G]].
 */
function inverseCholesky(a: tf.Tensor2D): tf.Tensor2D {
  const [n] = a.shape
  if (n <= SMALLEST_HALVED) {
    const lower = tensorflowKernel('Cholesky', {}, [a])
    return tensorflowKernel('MatrixTriangularSolve', { lower: true, adjoint: false }, [lower, tf.eye(n)]) as tf.Tensor2D
  }
  return tf.tidy(() => {
    // Whole vectors of the widest registers.
    const half = Math.ceil(n / 32) * 16
    const rest = n - half
    const first = inverseCholesky(tf.slice(a, [0, 0], [half, half]))
    const across = matMul(tf.slice(a, [half, 0], [rest, half]), first, false, true) as tf.Tensor2D
    const second = inverseCholesky(tf.sub(tf.slice(a, [half, half], [rest, rest]), matMul(across, across, false, true)))
    const below = tf.neg(matMul(second, matMul(across, first))) as tf.Tensor2D
    return tf.concat([tf.concat([first, tf.zeros([half, rest])], 1), tf.concat([below, second], 1)], 0) as tf.Tensor2D
  })
}

/** Finite throughout with a positive diagonal. A failed Cholesky leaves NaN in some elements, not in all. */
function isFactor(factor: Float32Array, n: number): boolean {
  for (let i = 0; i < factor.length; i++) if (!Number.isFinite(factor[i])) return false
  for (let i = 0; i < n; i++) if (!(factor[i * n + i] > 0)) return false
  return true
}

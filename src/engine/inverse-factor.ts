import * as tf from '@tensorflow/tfjs-core'
import { span } from '../util/span.ts'

/** What tfjs-node's backend offers beyond tfjs's: TensorFlow's own kernels by name. */
interface TensorflowBackend {
  binding: Record<string, number>
  executeSingleOutput(name: string, attributes: { name: string; type: number; value: number | boolean }[], inputs: tf.Tensor[]): tf.Tensor
}

/**
 * U (upper, row major [n, n]) with inverse(H) = UᵀU, float32, on the TensorFlow backend. With J the reversal of rows and columns,
 * JHJ = LLᵀ gives H = (JLJ)(JLJ)ᵀ, JLJ upper, so U = J L⁻¹ J: one Cholesky and one triangular solve instead of Cholesky, inverse,
 * Cholesky. Null when H is not positive definite: TensorFlow then fills L with NaN.
 */
export async function inverseFactor(h: Float32Array, n: number): Promise<Float32Array | null> {
  return span('kernel', 'inverseFactor', () => factor(h, n), n ** 3)
}

async function factor(h: Float32Array, n: number): Promise<Float32Array | null> {
  const solved = tf.tidy(() => {
    const reversed = tf.tensor2d(h.slice().reverse(), [n, n])
    const lower = execute('Cholesky', {}, [reversed])
    return execute('MatrixTriangularSolve', { lower: true, adjoint: false }, [lower, tf.eye(n)])
  })
  const inverse = await solved.data<'float32'>()
  solved.dispose()
  // Reversing rows and columns of a row-major matrix is reversing its elements.
  const upper = Float32Array.from(inverse).reverse()
  return isFactor(upper, n) ? upper : null
}

function execute(kernel: string, flags: Record<string, boolean>, inputs: tf.Tensor[]): tf.Tensor {
  const backend = tf.backend() as unknown as TensorflowBackend
  const { TF_ATTR_TYPE, TF_FLOAT, TF_ATTR_BOOL } = backend.binding
  const attributes: { name: string; type: number; value: number | boolean }[] = [{ name: 'T', type: TF_ATTR_TYPE, value: TF_FLOAT }]
  for (const [name, value] of Object.entries(flags)) attributes.push({ name, type: TF_ATTR_BOOL, value })
  return backend.executeSingleOutput(kernel, attributes, inputs)
}

/** Finite throughout with a positive diagonal. A failed Cholesky leaves NaN in some elements, not in all. */
function isFactor(factor: Float32Array, n: number): boolean {
  for (let i = 0; i < factor.length; i++) if (!Number.isFinite(factor[i])) return false
  for (let i = 0; i < n; i++) if (!(factor[i * n + i] > 0)) return false
  return true
}

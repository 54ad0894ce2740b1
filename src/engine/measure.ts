import * as tf from '@tensorflow/tfjs-core'
import { matMul } from './mat-mul.ts'

/** Milliseconds of products: a clock that rises under load and a pause of the host need longer than the 10 ms of one product. */
const LONG_ENOUGH = 300

/**
 * Float32 GFLOPS of an n x n product on the current backend: the best of three at least, after one to warm up. The result is read back each
 * time.
 */
export async function measureMatMul(n = 1024): Promise<number> {
  const [a, b] = tf.tidy(() => [tf.randomUniform([n, n], -1, 1, 'float32', 1), tf.randomUniform([n, n], -1, 1, 'float32', 2)])
  let best = Number.POSITIVE_INFINITY
  const begun = performance.now()
  for (let run = 0; run < 4 || performance.now() - begun < LONG_ENOUGH; run++) {
    const start = performance.now()
    const product = matMul(a, b)
    await product.data()
    product.dispose()
    if (run > 0) best = Math.min(best, performance.now() - start)
  }
  tf.dispose([a, b])
  return (2 * n ** 3) / best / 1e6
}

import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import { type Bfloat16, bfloat16Kernel, bfloat16Settings, toBfloat16, toFloat32 } from './bfloat16.ts'
import { slice } from './either-ops.ts'

/**
 * a·b with float32 sums, rounded to bfloat16, of matrices or of one for each of a batch. A product of a processor with AVX512_BF16, which
 * oneDNN's mode for float32 products does not use. 2048 x 576 x 1536 on two cores of Zen 5: 3.8 ms, 8.0 in float32. Transposed factors need
 * no copy: 1 to 4 threads give the same bytes.
 */
export function bfloat16Product<T extends Tensor>(a: Bfloat16<T>, b: Bfloat16<T>, transposeA: boolean, transposeB: boolean): Bfloat16<T> {
  return bfloat16Kernel('BatchMatMulV2', bfloat16Settings({ adj_x: transposeA, adj_y: transposeB }), [a, b]) as Bfloat16<T>
}

/**
 * Shows the bands of xᵀx of x [rows, columns] (`gramBands`) one by one, rounded as in `bfloat16Product`: band i has rows from cuts[i] to
 * cuts[i + 1] and columns from cuts[i] on. Runs within a tidy.
 */
export function eachBfloat16Band(x: Tensor2D, cuts: readonly number[], visit: (make: () => Tensor2D) => void): void {
  const [rows, columns] = x.shape
  const whole = toBfloat16(x)
  const part = (from: number, to: number) => (to - from === columns ? whole : slice(whole, [0, from], [rows, to - from]))
  for (const [i, from] of cuts.slice(0, -1).entries()) {
    visit(() => {
      const right = part(from, columns)
      return toFloat32(bfloat16Product(cuts[i + 1] === columns ? right : part(from, cuts[i + 1]), right, true, false))
    })
  }
}

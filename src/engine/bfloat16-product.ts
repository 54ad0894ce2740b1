import * as tf from '@tensorflow/tfjs-core'

/** What tfjs-node's backend has beneath its tensors: TensorFlow's, by number, of any type. */
interface RawTensorflow {
  readonly binding: {
    readonly TF_ATTR_TYPE: number
    readonly TF_ATTR_BOOL: number
    readonly TF_FLOAT: number
    readonly TF_INT32: number
    executeOp(name: string, attributes: Attribute[], inputs: number[], outputs: number): { readonly id: number }[]
    deleteTensor(id: number): void
  }
  getInputTensorIds(tensors: readonly tf.Tensor[]): number[]
  createOutputTensor(metadata: { readonly id: number }): tf.Tensor
}

interface Attribute {
  readonly name: string
  readonly type: number
  readonly value: number | boolean
}

/** TensorFlow's DT_BFLOAT16, which tfjs has no name for. */
const BFLOAT16 = 14

/** Matrices in bfloat16, by TensorFlow's number. */
interface Bfloat16 {
  round(x: tf.Tensor): number
  /** So many columns from one on. */
  columns(matrix: number, rows: number, from: number, count: number): number
  /** a·b with float32 sums, rounded. */
  multiply(a: number, b: number, transposeA: boolean, transposeB: boolean): number
  toFloat32(matrix: number): tf.Tensor
}

/**
 * a·b of matrices, on the TensorFlow backend: both and the result are rounded to bfloat16, sums are float32. A product of a processor with
 * AVX512_BF16, which oneDNN's mode for float32 products does not use. 2048 x 576 x 1536 on two cores of Zen 5: 4.1 ms and 0.75 for the three
 * conversions, 8.1 in float32.
 */
export function bfloat16Product(a: tf.Tensor, b: tf.Tensor, transposeB: boolean): tf.Tensor {
  return inBfloat16(({ round, multiply, toFloat32 }) => toFloat32(multiply(round(a), round(b), false, transposeB)))
}

/**
 * Shows the bands of xᵀx of x [rows, columns] (`gramBands`) one by one, rounded as in `bfloat16Product`: band i has rows from cuts[i] to
 * cuts[i + 1] and columns from cuts[i] on. Transposed factors need no copy here: 1 to 4 threads give the same bytes.
 */
export function eachBfloat16Band(x: tf.Tensor2D, cuts: readonly number[], visit: (make: () => tf.Tensor2D) => void): void {
  const [rows, columns] = x.shape
  inBfloat16(({ round, columns: part, multiply, toFloat32 }) => {
    const whole = round(x)
    const from = (first: number, to: number) => (to - first === columns ? whole : part(whole, rows, first, to - first))
    for (const [i, first] of cuts.slice(0, -1).entries())
      visit(() => toFloat32(multiply(from(first, cuts[i + 1]), from(first, columns), true, false)) as tf.Tensor2D)
  })
}

/** Does `work` with tensors of its own, which are gone afterwards. */
function inBfloat16<T>(work: (operations: Bfloat16) => T): T {
  const backend = tf.backend() as unknown as RawTensorflow
  const { TF_ATTR_TYPE, TF_ATTR_BOOL, TF_FLOAT, TF_INT32 } = backend.binding
  const type = (name: string, value: number): Attribute => ({ name, type: TF_ATTR_TYPE, value })
  const flag = (name: string, value: boolean): Attribute => ({ name, type: TF_ATTR_BOOL, value })
  const made: number[] = []
  const run = (name: string, attributes: Attribute[], inputs: number[]) => backend.binding.executeOp(name, attributes, inputs, 1)[0]
  const keep = ({ id }: { readonly id: number }) => {
    made.push(id)
    return id
  }
  const cast = (id: number, from: number, to: number) => run('Cast', [type('SrcT', from), type('DstT', to), flag('Truncate', false)], [id])
  const operations: Bfloat16 = {
    round: (x) => keep(cast(backend.getInputTensorIds([x])[0], TF_FLOAT, BFLOAT16)),
    columns: (matrix, rows, from, count) =>
      tf.tidy(() => {
        const place = backend.getInputTensorIds([tf.tensor1d([0, from], 'int32'), tf.tensor1d([rows, count], 'int32')])
        return keep(run('Slice', [type('T', BFLOAT16), type('Index', TF_INT32)], [matrix, ...place]))
      }),
    multiply: (a, b, transposeA, transposeB) =>
      keep(run('BatchMatMulV2', [type('T', BFLOAT16), flag('adj_x', transposeA), flag('adj_y', transposeB)], [a, b])),
    // The tensor's own, which goes when it is disposed of.
    toFloat32: (matrix) => backend.createOutputTensor(cast(matrix, BFLOAT16, TF_FLOAT)),
  }
  try {
    return work(operations)
  } finally {
    for (const id of made) backend.binding.deleteTensor(id)
  }
}

import * as tf from '@tensorflow/tfjs-core'

/** What tfjs-node's backend has beneath its tensors: TensorFlow's, by number, of any type. */
interface RawTensorflow {
  readonly binding: {
    readonly TF_ATTR_TYPE: number
    readonly TF_ATTR_BOOL: number
    readonly TF_FLOAT: number
    readonly TF_INT32: number
    executeOp(name: string, attributes: Attribute[], inputs: number[], outputs: number): Output[]
  }
  getInputTensorIds(tensors: readonly tf.Tensor[]): number[]
  createOutputTensor(metadata: Output & { readonly dtype: number }): tf.Tensor
}

interface Attribute {
  readonly name: string
  readonly type: number
  readonly value: number | boolean
}

interface Output {
  readonly id: number
  readonly shape: number[]
}

/** TensorFlow's DT_BFLOAT16, which tfjs has no name for. */
const BFLOAT16 = 14

declare const bfloat16: unique symbol

/**
 * A matrix in bfloat16 on the TensorFlow backend. To tfjs it is a tensor of float32, so that it counts it (its bytes double), and disposes of it,
 * like any other; only the functions here can compute with it, and nobody can read it.
 */
export type Bfloat16Matrix = tf.Tensor2D & { readonly [bfloat16]: true }

/** x rounded to bfloat16. */
export function toBfloat16(x: tf.Tensor2D): Bfloat16Matrix {
  return run('Cast', cast(backend().binding.TF_FLOAT, BFLOAT16), [x]) as Bfloat16Matrix
}

/**
 * a·b with float32 sums, rounded to bfloat16. A product of a processor with AVX512_BF16, which oneDNN's mode for float32 products does not use.
 * 2048 x 576 x 1536 on two cores of Zen 5: 3.8 ms, 8.0 in float32. Transposed factors need no copy: 1 to 4 threads give the same bytes.
 */
export function bfloat16Product(a: Bfloat16Matrix, b: Bfloat16Matrix, transposeA: boolean, transposeB: boolean): tf.Tensor2D {
  return tf.tidy(() => {
    const product = run('BatchMatMulV2', [type('T', BFLOAT16), flag('adj_x', transposeA), flag('adj_y', transposeB)], [a, b])
    return run('Cast', cast(BFLOAT16, backend().binding.TF_FLOAT), [product])
  })
}

/**
 * Shows the bands of xᵀx of x [rows, columns] (`gramBands`) one by one, rounded as in `bfloat16Product`: band i has rows from cuts[i] to
 * cuts[i + 1] and columns from cuts[i] on. Runs within a tidy.
 */
export function eachBfloat16Band(x: tf.Tensor2D, cuts: readonly number[], visit: (make: () => tf.Tensor2D) => void): void {
  const [rows, columns] = x.shape
  const whole = toBfloat16(x)
  const part = (from: number, to: number) => (to - from === columns ? whole : columnsOf(whole, rows, from, to - from))
  for (const [i, from] of cuts.slice(0, -1).entries()) {
    visit(() => {
      const right = part(from, columns)
      return bfloat16Product(cuts[i + 1] === columns ? right : part(from, cuts[i + 1]), right, true, false)
    })
  }
}

/** So many columns from one on. */
function columnsOf(x: Bfloat16Matrix, rows: number, from: number, count: number): Bfloat16Matrix {
  return tf.tidy(() => {
    const place = [tf.tensor1d([0, from], 'int32'), tf.tensor1d([rows, count], 'int32')]
    return run('Slice', [type('T', BFLOAT16), type('Index', backend().binding.TF_INT32)], [x, ...place]) as Bfloat16Matrix
  })
}

function backend(): RawTensorflow {
  return tf.backend() as unknown as RawTensorflow
}

function type(name: string, value: number): Attribute {
  return { name, type: backend().binding.TF_ATTR_TYPE, value }
}

function flag(name: string, value: boolean): Attribute {
  return { name, type: backend().binding.TF_ATTR_BOOL, value }
}

function cast(from: number, to: number): Attribute[] {
  return [type('SrcT', from), type('DstT', to), flag('Truncate', false)]
}

/** What a kernel makes, of float32 for tfjs whatever it is. */
function run(kernel: string, attributes: Attribute[], inputs: readonly tf.Tensor[]): tf.Tensor2D {
  const { binding } = backend()
  const [{ id, shape }] = binding.executeOp(kernel, attributes, backend().getInputTensorIds(inputs), 1)
  return backend().createOutputTensor({ id, shape, dtype: binding.TF_FLOAT }) as tf.Tensor2D
}

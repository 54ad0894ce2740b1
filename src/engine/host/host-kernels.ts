import { broadcastShape, gatherOf, indexOf, type Place, strides } from './host-shapes.ts'

/** A tensor's array with its shape. */
export interface HostTensor {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

/** What a kernel makes for the tensors it was prepared for: `run` fills the outputs anew; null where they are views of the inputs. */
interface Prepared {
  readonly outputs: readonly HostTensor[]
  readonly run: (() => void) | null
}

/** An operation of the tensor library for small float32 tensors. */
interface HostKernel {
  /** Its name there. */
  readonly kernelName: string
  /** Gives a list of tensors, if of one. */
  readonly isList?: true
  prepare(inputs: readonly HostTensor[], attrs: Readonly<Record<string, unknown>>): Prepared
}

type Unary = (x: number) => number
type Binary = (a: number, b: number) => number

function unary(kernelName: string, make: (attrs: Readonly<Record<string, unknown>>) => Unary): HostKernel {
  return {
    kernelName,
    prepare: ([{ shape, values }], attrs) => {
      const f = make(attrs)
      const out = new Float32Array(values.length)
      const run = () => {
        for (let i = 0; i < out.length; i++) out[i] = f(values[i])
      }
      return { outputs: [{ shape, values: out }], run }
    },
  }
}

/** `loop`, where given, does what `f` does for tensors of one shape, or for a tensor and a number, without a call for each element. */
function binary(kernelName: string, f: Binary, loop: (a: Float32Array, b: Float32Array, out: Float32Array) => void): HostKernel {
  return {
    kernelName,
    prepare: ([a, b]) => {
      const shape = broadcastShape(a.shape, b.shape)
      const out = new Float32Array(shape.reduce((product, size) => product * size, 1))
      const outputs = [{ shape, values: out }]
      const [x, y] = [a.values, b.values]
      if (x.length === out.length && y.length === out.length) return { outputs, run: () => loop(x, y, out) }
      const [ofA, ofB] = [indexOf(a.shape, shape), indexOf(b.shape, shape)]
      const run = () => {
        for (let i = 0; i < out.length; i++) out[i] = f(x[ofA[i]], y[ofB[i]])
      }
      return { outputs, run }
    },
  }
}

/** Over the last axis. */
function reduction(kernelName: string, reduce: (values: Float32Array, from: number, count: number) => number): HostKernel {
  return {
    kernelName,
    prepare: ([{ shape, values }], { axis, keepDims }) => {
      const last = shape.length - 1
      const [only, ...more] = [axis].flat()
      if (more.length > 0 || (only !== last && only !== -1)) throw new RangeError(`Cannot reduce axis ${axis} of [${shape}] on the host`)
      const count = shape[last]
      const out = new Float32Array(values.length / count)
      const run = () => {
        for (let i = 0; i < out.length; i++) out[i] = reduce(values, i * count, count)
      }
      return { outputs: [{ shape: keepDims ? [...shape.slice(0, last), 1] : shape.slice(0, last), values: out }], run }
    },
  }
}

/** One tensor of some elements of another. */
function gathering(kernelName: string, place: (shape: readonly number[], attrs: Readonly<Record<string, unknown>>) => Place): HostKernel {
  return {
    kernelName,
    prepare: ([{ shape, values }], attrs) => {
      const found = place(shape, attrs)
      const { values: out, run } = gatherOf(values, found)
      return { outputs: [{ shape: found.shape, values: out }], run }
    },
  }
}

const sum = (values: Float32Array, from: number, count: number): number => {
  let total = 0
  for (let i = from; i < from + count; i++) total += values[i]
  return total
}

const numbers = (value: unknown): number[] => [value].flat().map(Number)

/** The error function to 1.5e-7 (Abramowitz and Stegun, 7.1.26). */
function erf(x: number): number {
  const size = Math.abs(x)
  const t = 1 / (1 + 0.3275911 * size)
  const y = 1 - ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * Math.exp(-size * size)
  return x < 0 ? -y : y
}

const whole: HostKernel['prepare'] = ([{ shape, values }]) => ({ outputs: [{ shape, values }], run: null })

function runAll(runs: readonly (() => void)[]): () => void {
  return () => {
    for (const run of runs) run()
  }
}

const split: HostKernel = {
  kernelName: 'SplitV',
  isList: true,
  prepare: ([{ shape, values }], { axis, numOrSizeSplits }) => {
    const at = Number(axis) < 0 ? shape.length + Number(axis) : Number(axis)
    const asked = numbers(numOrSizeSplits)
    const sizes = Array.isArray(numOrSizeSplits) ? asked : new Array<number>(asked[0]).fill(shape[at] / asked[0])
    let from = 0
    const parts = sizes.map((size) => {
      const begin = shape.map((_, axis) => (axis === at ? from : 0))
      const part = shape.map((own, axis) => (axis === at ? size : own))
      from += size
      const offset = begin.reduce((total, start, axis) => total + start * strides(shape)[axis], 0)
      return { shape: part, ...gatherOf(values, { shape: part, offset, steps: strides(shape) }) }
    })
    const runs = parts.flatMap(({ run }) => run ?? [])
    return {
      outputs: parts.map((part) => ({ shape: part.shape, values: part.values })),
      run: runs.length === 0 ? null : runAll(runs),
    }
  },
}

const concat: HostKernel = {
  kernelName: 'Concat',
  prepare: (inputs, { axis }) => {
    const [{ shape }] = inputs
    const at = Number(axis) < 0 ? shape.length + Number(axis) : Number(axis)
    const outer = shape.slice(0, at).reduce((product, size) => product * size, 1)
    const widths = inputs.map(({ values }) => values.length / outer)
    const width = widths.reduce((total, own) => total + own, 0)
    const out = new Float32Array(outer * width)
    const run = () => {
      for (let row = 0, to = 0; row < outer; row++) {
        for (let i = 0; i < inputs.length; i++) {
          out.set(inputs[i].values.subarray(row * widths[i], (row + 1) * widths[i]), to)
          to += widths[i]
        }
      }
    }
    const size = inputs.reduce((total, input) => total + input.shape[at], 0)
    return { outputs: [{ shape: shape.map((own, axis) => (axis === at ? size : own)), values: out }], run }
  },
}

/** [..., m, k] by [..., k, n], with one matrix on either side. */
const product: HostKernel = {
  kernelName: 'BatchMatMul',
  prepare: ([a, b], { transposeA, transposeB }) => {
    const [m, k] = a.shape.slice(-2)
    const n = b.shape[b.shape.length - (transposeB ? 2 : 1)]
    if (transposeA || a.values.length !== m * k || b.values.length !== k * n)
      throw new RangeError(`Cannot multiply [${a.shape}] by [${b.shape}] on the host, expected two matrices`)
    const out = new Float32Array(m * n)
    const [x, y] = [a.values, b.values]
    const [step, next] = transposeB ? [1, k] : [n, 1]
    const run = () => {
      for (let row = 0; row < m; row++) {
        for (let column = 0; column < n; column++) {
          let total = 0
          for (let j = 0, at = column * next; j < k; j++, at += step) total += x[row * k + j] * y[at]
          out[row * n + column] = total
        }
      }
    }
    return { outputs: [{ shape: [...a.shape.slice(0, -1), n], values: out }], run }
  },
}

/** The operations that layers without experts are made of. */
export const HOST_KERNELS: readonly HostKernel[] = [
  { kernelName: 'Identity', prepare: whole },
  { kernelName: 'Cast', prepare: whole },
  {
    kernelName: 'Reshape',
    prepare: ([{ values }], { shape }) => {
      const asked = numbers(shape)
      const known = asked.reduce((total, size) => (size < 0 ? total : total * size), 1)
      return { outputs: [{ shape: asked.map((size) => (size < 0 ? values.length / known : size)), values }], run: null }
    },
  },
  binary(
    'Add',
    (a, b) => a + b,
    (a, b, out) => {
      for (let i = 0; i < out.length; i++) out[i] = a[i] + b[i]
    },
  ),
  binary(
    'Sub',
    (a, b) => a - b,
    (a, b, out) => {
      for (let i = 0; i < out.length; i++) out[i] = a[i] - b[i]
    },
  ),
  binary(
    'Multiply',
    (a, b) => a * b,
    (a, b, out) => {
      for (let i = 0; i < out.length; i++) out[i] = a[i] * b[i]
    },
  ),
  binary(
    'RealDiv',
    (a, b) => a / b,
    (a, b, out) => {
      for (let i = 0; i < out.length; i++) out[i] = a[i] / b[i]
    },
  ),
  unary('Square', () => (x) => x * x),
  unary('Rsqrt', () => (x) => 1 / Math.sqrt(x)),
  unary('Sigmoid', () => (x) => 1 / (1 + Math.exp(-x))),
  unary('Tanh', () => Math.tanh),
  unary('Relu', () => (x) => (x > 0 ? x : 0)),
  unary('Erf', () => erf),
  reduction('Mean', (values, from, count) => sum(values, from, count) / count),
  reduction('Sum', sum),
  gathering('Slice', (shape, { begin, size }) => {
    const [from, sizes] = [numbers(begin), numbers(size)]
    const steps = strides(shape)
    return {
      shape: sizes.map((count, axis) => (count < 0 ? shape[axis] - from[axis] : count)),
      offset: from.reduce((total, start, axis) => total + start * steps[axis], 0),
      steps,
    }
  }),
  gathering('Transpose', (shape, { perm }) => {
    const order = numbers(perm)
    const steps = strides(shape)
    return { shape: order.map((axis) => shape[axis]), offset: 0, steps: order.map((axis) => steps[axis]) }
  }),
  gathering('Reverse', (shape, { dims }) => {
    const turned = new Set(numbers(dims).map((axis) => (axis < 0 ? shape.length + axis : axis)))
    const steps = strides(shape)
    const last = (axis: number) => (shape[axis] - 1) * steps[axis]
    return {
      shape,
      offset: [...turned].reduce((total, axis) => total + last(axis), 0),
      steps: steps.map((step, axis) => (turned.has(axis) ? -step : step)),
    }
  }),
  gathering('Tile', (shape, { reps }) => {
    const counts = numbers(reps)
    // Each axis as its repeats before itself: repeats take no step.
    return {
      shape: shape.map((size, axis) => size * counts[axis]),
      offset: 0,
      steps: strides(shape).flatMap((step) => [0, step]),
      inner: shape.flatMap((size, axis) => [counts[axis], size]),
    }
  }),
  split,
  concat,
  product,
]

/** Which elements of an array a tensor consists of: from `offset` on, by steps along each axis. */
export interface Place {
  readonly shape: readonly number[]
  readonly offset: number
  /** An element's distance from the one before along each axis of `inner`. */
  readonly steps: readonly number[]
  /** The axes that are gone through, where they are not those of `shape`. */
  readonly inner?: readonly number[]
}

/** Distances of neighbours along each axis of a row-major tensor. */
export function strides(shape: readonly number[]): number[] {
  const steps = new Array<number>(shape.length)
  for (let axis = shape.length - 1, step = 1; axis >= 0; axis--) {
    steps[axis] = step
    step *= shape[axis]
  }
  return steps
}

/** The shape that two broadcast to. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, axis) => Math.max(a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1))
}

/** For each element of a tensor of the shape `to` the index of what is broadcast there from a tensor of the shape `from`. */
export function indexOf(from: readonly number[], to: readonly number[]): Int32Array {
  const own = strides(from)
  const missing = to.length - from.length
  return walked(
    to,
    0,
    to.map((_, axis) => (axis < missing || from[axis - missing] === 1 ? 0 : own[axis - missing])),
  )
}

/** The elements of a place: a view where they lie side by side, else a copy that `run` makes anew. */
export function gatherOf(
  values: Float32Array,
  { shape, offset, steps, inner = shape }: Place,
): { values: Float32Array; run: (() => void) | null } {
  const index = walked(inner, offset, steps)
  const isView = index.every((at, i) => at === offset + i)
  if (isView) return { values: values.subarray(offset, offset + index.length), run: null }
  const out = new Float32Array(index.length)
  const run = () => {
    for (let i = 0; i < out.length; i++) out[i] = values[index[i]]
  }
  return { values: out, run }
}

/** The indices of a tensor's elements, in their order. */
function walked(shape: readonly number[], offset: number, steps: readonly number[]): Int32Array {
  const rowMajor = strides(shape)
  const count = shape.reduce((product, size) => product * size, 1)
  return Int32Array.from({ length: count }, (_, i) => {
    let at = offset
    for (let axis = 0, rest = i; axis < shape.length; axis++) {
      const place = Math.floor(rest / rowMajor[axis])
      rest -= place * rowMajor[axis]
      at += place * steps[axis]
    }
    return at
  })
}

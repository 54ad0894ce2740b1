/** a - b, into memory of its own where no other is given; that may be one of the two. */
export function difference(a: Float32Array, b: Float32Array, out: Float32Array = new Float32Array(a.length)): Float32Array {
  for (let i = 0; i < out.length; i++) out[i] = a[i] - b[i]
  return out
}

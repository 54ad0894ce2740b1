/** `ids` cut in order into rows of `length`; the incomplete tail is dropped. At most `most` rows. */
export function cutRows(ids: ArrayLike<number>, length: number, most = Number.POSITIVE_INFINITY): Int32Array[] {
  const all = Int32Array.from(ids)
  const count = Math.min(most, Math.floor(all.length / length))
  return Array.from({ length: count }, (_, i) => all.slice(i * length, (i + 1) * length))
}

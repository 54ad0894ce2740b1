/**
 * `ids` cut in order into rows of `length`; the incomplete tail is dropped. With a `prefix`, shorter than a row, every row begins with it,
 * as a model that wants a first token sees each sequence; where the ids have it there themselves, it is not doubled.
 */
export function cutRows(ids: ArrayLike<number>, length: number, prefix: readonly number[] = []): Int32Array[] {
  const all = Int32Array.from(ids)
  const rows: Int32Array[] = []
  for (let at = 0; ; ) {
    const has = prefix.every((id, i) => all[at + i] === id)
    const end = at + length - (has ? 0 : prefix.length)
    if (end > all.length) return rows
    const row = new Int32Array(length)
    if (!has) row.set(prefix)
    row.set(all.subarray(at, end), length - (end - at))
    rows.push(row)
    at = end
  }
}

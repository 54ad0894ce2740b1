/** A function that works out each argument's result once, promises included, for as long as it is held. */
export function remembered<K, V>(work: (key: K) => V): (key: K) => V {
  const results = new Map<K, V>()
  return (key) => {
    const found = results.get(key)
    if (found !== undefined || results.has(key)) return found as V
    const result = work(key)
    results.set(key, result)
    return result
  }
}

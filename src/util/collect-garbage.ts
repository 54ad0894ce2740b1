import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Gives back the memory of arrays that nobody refers to any more. V8 does that by itself when arrays are made, but knows nothing of what
 * WebAssembly and TensorFlow take: beside 0.8 GB that await collection they would take as much again. Some 10 ms, so for large things only.
 */
export function collectGarbage(): void {
  collector()?.()
}

let found: (() => void) | null = null

/** V8's own function, which is hidden by default. */
function collector(): (() => void) | null {
  if (found) return found
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect === 'function') found = collect as () => void
  return found
}

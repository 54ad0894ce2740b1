import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Gives back the memory of arrays that nobody refers to any more. V8 does that by itself when arrays are made, but knows nothing of what
 * WebAssembly and TensorFlow take: beside 0.8 GB that await collection they would take as much again. Some 10 ms, so for large things only.
 */
export function collectGarbage(): void {
  collector()?.()
}

/**
 * The same of what has been made since the last call or two: some milliseconds, as the rest of the heap is not looked at.
 */
export function collectNewGarbage(): void {
  collector()?.({ type: 'minor' })
}

type Collect = (options?: { readonly type: 'minor' }) => void

let found: Collect | null = null

/** V8's own function, which is hidden by default. */
function collector(): Collect | null {
  if (found) return found
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect === 'function') found = collect as Collect
  return found
}

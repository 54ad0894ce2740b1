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

/** Bytes of arrays that may await collection, about what a layer of SmolLM2-135M leaves behind in half its stages. */
const MUCH = 32e6

/** Bytes of arrays that were left by the last collection, as far as is known. */
let left = Number.POSITIVE_INFINITY

/** As `collectGarbage`, where arrays have grown by 32 MB: by itself V8 waits for more than twice that while collections are rare. */
export function collectMuchGarbage(): void {
  const { arrayBuffers } = process.memoryUsage()
  left = Math.min(left, arrayBuffers)
  if (arrayBuffers - left < MUCH) return
  collectGarbage()
  left = process.memoryUsage().arrayBuffers
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

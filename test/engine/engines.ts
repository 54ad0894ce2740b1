import { beforeAll } from 'vitest'
import type { EngineName } from '../../src/engine/engine.ts'
import { installedFolders } from '../../src/engine/native-folder.ts'
import { openEngine } from '../../src/engine/open.ts'
import { requirePrecision } from '../../src/engine/precision.ts'
import { seededUint32 } from '../../src/util/rng.ts'

/** TensorFlow is optional: it takes part where `llmpress native install` has put it. */
export const hasNative = installedFolders('@tensorflow/tfjs-node').length > 0
export const engines: EngineName[] = hasNative ? ['wasm', 'native'] : ['wasm']

/** Where TensorFlow is and the processor has instructions for bfloat16. */
export const hasBfloat16 = hasNative && hasInstructions()

function hasInstructions(): boolean {
  try {
    requirePrecision('bfloat16', 'native')
    return true
  } catch {
    return false
  }
}

/** Runs the suite on this engine. */
export function useEngine(engine: EngineName): void {
  beforeAll(async () => {
    await openEngine({ engine, threads: 2 })
  })
}

/** `length` numbers in [-1, 1), the same for the same seed. */
export function random(length: number, seed: number): Float32Array {
  const next = seededUint32(seed)
  return Float32Array.from({ length }, () => next() / 2 ** 31 - 1)
}

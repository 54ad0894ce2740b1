import { totalmem } from 'node:os'
import { constrainedMemory } from 'node:process'
import type { Rule } from '../util/check-options.ts'
import { UserError } from '../util/errors.ts'
import { parseBytes } from '../util/parse-bytes.ts'

export const MEMORY_SIZE = "a size such as '4GB', or a number of bytes"

/** `maxMemory` among the options of a call. */
export const memoryRule: Rule = {
  expected: MEMORY_SIZE,
  fits: (value) => (typeof value === 'string' ? parseBytes(value) !== null : Number.isSafeInteger(value) && Number(value) > 0),
}

/** Bytes that a run may take. */
export interface MemoryBudget {
  readonly bytes: number
  /** Whether it was asked for, and not what the machine has. */
  readonly asked: boolean
}

/** What was asked for, and no more than the machine, or its container, has. Errors: UserError for what is no size. */
export function memoryBudget(maxMemory: number | string | undefined): MemoryBudget {
  // What is free at the moment counts caches as used on some systems.
  const machine = Math.min(totalmem(), constrainedMemory() || Number.POSITIVE_INFINITY)
  if (maxMemory === undefined) return { bytes: machine, asked: false }
  const bytes = typeof maxMemory === 'string' ? parseBytes(maxMemory) : maxMemory
  if (bytes === null) throw new UserError(`Cannot limit memory to ${JSON.stringify(maxMemory)}: expected ${MEMORY_SIZE}.`)
  return bytes <= machine ? { bytes, asked: true } : { bytes: machine, asked: false }
}

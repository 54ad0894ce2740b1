import { InvalidArgumentError } from 'commander'
import { MEMORY_SIZE } from '../oneshot/memory-budget.ts'
import { parseBytes } from '../util/parse-bytes.ts'

/** A parser for a flag that takes a whole number from `least` to `most`. Commander adds the flag's name to what it throws. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text)
    // Digits only: Number() also takes '', ' 7', '0x10' and '1e3'.
    if (/^\d+$/.test(text) && value >= least && value <= most) return value
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
    throw new InvalidArgumentError(`Expected a whole number ${range}.`)
  }
}

/** Parses a flag that takes a size such as `4GB`, in bytes. */
export function memorySize(text: string): number {
  const bytes = parseBytes(text)
  if (bytes === null) throw new InvalidArgumentError(`Expected ${MEMORY_SIZE}.`)
  return bytes
}

/** A parser for a flag that takes two numbers, the lower one first: `-2,2`. */
export function numberRange(text: string): [number, number] {
  const [low, high, ...rest] = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  if (rest.length === 0 && low < high) return [low, high]
  throw new InvalidArgumentError('Expected two numbers, the lower one first, such as -2,2.')
}

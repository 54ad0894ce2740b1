import { fileURLToPath } from 'node:url'
import { DataError } from '../util/errors.ts'
import type { Purpose } from './purpose.ts'

/** Texts that ship with the package, by name. No page stands in both splits. */
const BUILT_IN: Readonly<Record<string, Partial<Record<Purpose, string>>>> = {
  'docs-text': { calibration: 'docs-text/calibration.jsonl', evaluation: 'docs-text/eval.txt' },
  'mixed-text': { calibration: 'mixed-text/calibration.jsonl' },
  quotations: { evaluation: 'quotations/eval.txt' },
}

/** Names that are data without being a file. */
export const BUILT_IN_DATASETS: readonly string[] = Object.keys(BUILT_IN)

/** Those with a text to calibrate with, or to measure on. */
export function builtInDatasets(purpose: Purpose): string[] {
  return BUILT_IN_DATASETS.filter((name) => BUILT_IN[name][purpose] !== undefined)
}

/** The file of a built-in text, or null when `name` is none. Errors: DataError for one that has no such split. */
export function builtInFile(name: string, purpose: Purpose): string | null {
  if (!Object.hasOwn(BUILT_IN, name)) return null
  const path = BUILT_IN[name][purpose]
  if (path !== undefined) return fileURLToPath(new URL(`../../data/${path}`, import.meta.url))
  throw new DataError(
    `Cannot use the dataset ${name} for ${purpose}: it has no such text, expected ${builtInDatasets(purpose).join(' or ')}, or a file.`,
  )
}

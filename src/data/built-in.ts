import { fileURLToPath } from 'node:url'

export type Split = 'calibration' | 'evaluation'

/** Texts that ship with the package, by name. No page stands in both splits. */
const BUILT_IN: Record<string, Record<Split, string>> = {
  'docs-text': { calibration: 'docs-text/calibration.jsonl', evaluation: 'docs-text/eval.txt' },
}

/** Names that are data without being a file. */
export const BUILT_IN_DATASETS: readonly string[] = Object.keys(BUILT_IN)

/** The file of a built-in text, or null when `name` is none. */
export function builtInFile(name: string, split: Split): string | null {
  const path = Object.hasOwn(BUILT_IN, name) ? BUILT_IN[name][split] : null
  return path === null ? null : fileURLToPath(new URL(`../../data/${path}`, import.meta.url))
}

import { distance } from 'fastest-levenshtein'

/**
 * The candidate that a mistyped word most likely meant, or undefined when none is near: at most a third of the letters
 * (two for short words) may differ. Case does not count.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const allowed = Math.max(2, Math.floor(word.length / 3))
  let best: string | undefined
  let bestDistance = allowed + 1
  for (const candidate of candidates) {
    const d = distance(word.toLowerCase(), candidate.toLowerCase())
    if (d < bestDistance && d < Math.max(word.length, candidate.length)) {
      best = candidate
      bestDistance = d
    }
  }
  return best
}

/** ` (did you mean "x"?)` for behind what an error found, or nothing. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const found = nearest(word, candidates)
  return found === undefined ? '' : ` (did you mean "${found}"?)`
}

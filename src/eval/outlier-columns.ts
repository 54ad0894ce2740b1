import type { ServedInputs } from './served-inputs.ts'

/** Columns of inputs that LLM.int8 left in 16 bits. */
export interface OutlierColumns {
  /** Columns with a magnitude of this or more are left; 0: none are. */
  threshold: number
  /** Columns that were left for some tokens at least, of all linears together. */
  columns: number
  /** Columns of all linears. */
  of: number
  /** By linear, those with such columns. */
  linears: Record<string, number>
}

/** Which columns were left so far, by linear [columns]; linears that nothing has gone through are missing. */
export type SeenOutliers = Map<string, Uint8Array>

/** Takes down that columns were left for some tokens. */
export function addOutliers(seen: SeenOutliers, linear: string, isOutlier: Uint8Array): void {
  const before = seen.get(linear)
  if (!before) seen.set(linear, isOutlier.slice())
  else for (let c = 0; c < before.length; c++) before[c] |= isOutlier[c]
}

/** The count of what was seen; null for checkpoints that are not LLM.int8, and where nothing was computed. */
export function outlierColumns(inputs: ReadonlyMap<string, ServedInputs>, seen: SeenOutliers): OutlierColumns | null {
  const threshold = [...inputs.values()].find(({ args }) => args.outlier_threshold !== undefined)?.args.outlier_threshold
  if (threshold === undefined || seen.size === 0) return null
  const found: OutlierColumns = { threshold, columns: 0, of: 0, linears: {} }
  for (const [name, isOutlier] of seen) {
    const count = isOutlier.reduce((sum, one) => sum + one, 0)
    found.of += isOutlier.length
    found.columns += count
    if (count > 0) found.linears[name] = count
  }
  return found
}

/** One sentence. */
export function outlierSentence({ threshold, columns, of, linears }: OutlierColumns): string {
  if (threshold === 0) return 'LLM.int8 with threshold 0 leaves no column of inputs in 16 bits.'
  const found = `LLM.int8 left ${columns} of ${of} columns of inputs in 16 bits, those with a magnitude of ${threshold} or more`
  const entries = Object.entries(linears)
  if (entries.length === 0) return `${found}.`
  const [name, most] = entries.reduce((a, b) => (b[1] > a[1] ? b : a))
  return `${found}, in ${entries.length} ${entries.length === 1 ? 'linear' : 'linears'}; ${name} has the most, ${most}.`
}

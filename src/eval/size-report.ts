/** Sizes before and after compression in GiB (1024³ bytes), to two decimals. */
export interface SizeReport {
  original_size_gb: number
  quantized_size_gb: number
  /** How many times smaller. */
  compression_ratio: number
  memory_saved_gb: number
}

const GIB = 2 ** 30
const round = (value: number): number => Math.round(100 * value) / 100

/** The size report of `before` and `after` bytes. */
export function sizeReport(before: number, after: number): SizeReport {
  return {
    original_size_gb: round(before / GIB),
    quantized_size_gb: round(after / GIB),
    compression_ratio: round(before / Math.max(1, after)),
    memory_saved_gb: round((before - after) / GIB),
  }
}

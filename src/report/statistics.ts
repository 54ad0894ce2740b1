/** How the weights of a linear lie before and after: what a histogram is drawn from. */
export interface WeightStatistics {
  /** Full module name. */
  readonly name: string
  /** Smallest and largest of the weights that were counted, as they were when they were compressed: rescaled where a transform did so. */
  readonly min: number
  readonly max: number
  /** What the bins divide: the range of the original and the dequantized weights together. */
  readonly low: number
  readonly high: number
  /** How many weights were counted, in rows spread over the matrix, and how many there are. */
  readonly counted: number
  readonly total: number
  /** Counts of the original and of the dequantized weights, bin by bin; as many of one as of the other. */
  readonly before: readonly number[]
  readonly after: readonly number[]
}

/** What went into the linears of a stage on the calibration rows, after any rescaling. */
export interface InputStatistics {
  /** That were looked at: the first 8192, to the end of their batch. */
  readonly tokens: number
  readonly channels: number
  /** Smallest and largest value. */
  readonly min: number
  readonly max: number
  /** Root of the mean square of the channel in the middle, and of the largest ones, largest first. */
  readonly medianRms: number
  readonly largest: readonly { readonly channel: number; readonly rms: number }[]
}

/** What was measured at a stage while its weights were in memory. */
export interface StageStatistics {
  /** `model.layers.3 · attention inputs` */
  readonly stage: string
  /** Of the linears that were compressed. */
  readonly linears: readonly WeightStatistics[]
  /** Null in runs without data. */
  readonly inputs: InputStatistics | null
}

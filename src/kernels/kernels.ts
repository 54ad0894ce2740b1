/** Integer rounding of a matrix column by column with error feedback: what GPTQ does once its factor is known. */
export interface SweepInput {
  rows: number
  columns: number
  /** W [rows, columns], columns already in sweep order. Not changed. */
  weight: Float32Array
  /** U [columns, columns], upper triangular with inverse(H) = UᵀU, in sweep order. */
  factor: Float32Array
  /** [rows, groups] */
  scale: Float32Array
  /** [rows, groups]; null: all zero. */
  zeroPoint: Int8Array | null
  groups: number
  /** [columns] the group whose scale a column uses; in sweep order. */
  groupOf: Int32Array
  /** Smallest and largest code. */
  min: number
  max: number
}

export interface SweepResult {
  /** Codes [rows, columns] in sweep order. */
  codes: Int8Array
  /** Per row Σ_j e_j², e_j = (w_j - q_j) / U_jj: the growth of tr(E H Eᵀ) that the sweep accepted. */
  loss: Float32Array
}

/** The hot loops. Two implementations, `reference` (plain TypeScript) and wasm, give the same bytes for any number of threads. */
export interface Kernels {
  readonly name: 'wasm' | 'reference'
  readonly threads: number
  /** For every row: q_j = clamp(round(w_j / s + z)), e_j = (w_j - (q_j - z) s) / U_jj, w_k -= e_j U_jk for k > j (GPTQ, arXiv 2210.17323). */
  sweep(input: SweepInput): Promise<SweepResult>
  /**
   * U (upper, row major [n, n]) with inverse(H) = UᵀU for a symmetric H [n, n]: rows and columns reversed, one Cholesky L, one triangular
   * inverse, reversed back. Null when H is not positive definite. Inner sums in float64.
   */
  inverseFactor(h: Float32Array, n: number): Promise<Float32Array | null>
  close(): Promise<void>
}

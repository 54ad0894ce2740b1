import type { FloatDType } from '../numerics/dtype.ts'
import type { SymmetricMatrix } from '../numerics/symmetric-matrix.ts'
import type { SpareMemory } from '../util/spare-memory.ts'

/** Floats of so few bits that they are codes: four of exponent and three of mantissa, or two and one. */
export type SmallFloat = 'E4M3' | 'E2M1'

/** Rounding of a matrix column by column with error feedback: what GPTQ does once its factor is known. */
export interface SweepInput {
  rows: number
  columns: number
  /** W [rows, columns]. Not changed. */
  weight: Float32Array
  /** [columns] the columns of W in sweep order; absent: they are in it already. */
  order?: Int32Array
  /** U [columns, columns], upper triangular with inverse(H) = UᵀU, in sweep order. */
  factor: Float32Array
  /** [rows, groups] */
  scale: Float32Array
  /** [rows, groups]; null: all zero. */
  zeroPoint: Int8Array | null
  groups: number
  /** [columns] the group whose scale a column uses; in sweep order. */
  groupOf: Int32Array
  /** What codes are: floats of this kind, which have no zero points, or integers (null). */
  float: SmallFloat | null
  /** Smallest and largest code; of floats their values: ±448, ±6. */
  min: number
  max: number
  /** [rows, columns] where the errors e_j go, in sweep order, if they are wanted. */
  errors?: Float32Array
}

export interface SweepResult {
  /** Codes [rows, columns], columns as those of W; of floats their bit patterns, in a Uint8Array. */
  codes: Int8Array | Uint8Array
  /** Per row Σ_j e_j², e_j = (w_j - q_j) / U_jj: the growth of tr(E H Eᵀ) that the sweep accepted. */
  loss: Float32Array
}

/** A choice among candidate scales for every group of every row, judged by what rounding alone costs. */
export interface SearchInput {
  rows: number
  columns: number
  /** W [rows, columns], columns in the model's order: `groupSize` neighbours share a scale. */
  weight: Float32Array
  /** Divides `columns`; may be equal to it. */
  groupSize: number
  /** [columns] the weight of a column's error, 0 or more; null: all one. */
  importance: Float32Array | null
  /** How many scales there are to choose from, per row and group. */
  candidates: number
  /** [rows, groups, candidates], of either sign, already rounded to the type they are stored in. */
  scale: Float32Array
  /** [rows, groups, candidates]; null: all zero. */
  zeroPoint: Int8Array | null
  /** Whether each scale is tried negated as well, as candidate number `candidates` further on; without zero points, `min` <= -`max`. */
  signed?: boolean
  /** Smallest and largest code. */
  min: number
  max: number
  /** 1 to 8: the power of |error| that is summed. 2 is the fastest, then 3. */
  norm: number
}

/** Every weight to the nearest code of a grid. */
export interface RoundInput {
  rows: number
  columns: number
  /** W [rows, columns] */
  weight: Float32Array
  /** Rows and columns that share a scale; the last of either may be fewer. */
  rowSpan: number
  columnSpan: number
  /** [rows / rowSpan, columns / columnSpan], both rounded up */
  scale: Float32Array
  /** As `scale`; null: all zero. */
  zeroPoint: Int8Array | null
  /** What codes are: floats of this kind, which have no zero points, or integers (null). */
  float: SmallFloat | null
  /** Smallest and largest code; of floats their values: ±448, ±6. */
  min: number
  max: number
  /** Whether what the codes stand for is wanted as well. */
  values: boolean
  /** Where codes may lie. */
  memory?: SpareMemory
}

export interface RoundResult {
  /** [rows, columns]; of floats their bit patterns, in a Uint8Array. */
  codes: Int8Array | Uint8Array
  /** [rows, columns] (code - zero point) * scale, where asked for. */
  values: Float32Array | null
  /** [rows] Σ (w - value)², not finite where a weight is not. */
  loss: Float64Array
  /** [rows] Σ w² */
  power: Float64Array
}

/**
 * Weights to the nearest codes of their group, with the scale that its largest magnitude asks for, or the best of some fractions of that.
 */
export interface RoundGroupsInput {
  rows: number
  columns: number
  /** W [rows, columns] */
  weight: Float32Array
  /** Neighbours in a row that share a scale: divides `columns`, a multiple of 8. */
  groupSize: number
  /** One to 32 fractions of the largest magnitude; more than one only of integers of up to 4 bits. */
  ratios: readonly number[]
  /** Whether each scale is tried negated as well, after all others; of such integers only, `min` <= -`max`. */
  signed: boolean
  /** What scales are rounded to before anything is computed from them. */
  scaleDtype: FloatDType
  /** What codes are: floats of this kind, or integers (null). */
  float: SmallFloat | null
  /** Smallest and largest code; of floats their values: ±448, ±6. */
  min: number
  max: number
  /** Where codes may lie. */
  memory?: SpareMemory
}

export interface RoundGroupsResult extends Omit<RoundResult, 'values'> {
  /** [rows, groups] */
  scale: Float32Array
}

/** Codes and scales to better without other weights taking part: groups of neighbouring columns, in the model's order. */
export interface RefineInput {
  rows: number
  columns: number
  /** W [rows, columns]: what the codes stand for. */
  weight: Float32Array
  /** (W - Q) H [rows, columns], Q what the codes given stand for. */
  product: Float32Array
  /** H [columns, columns], damped: symmetric, positive definite. */
  hessian: SymmetricMatrix
  /** [rows, columns]; of floats their bit patterns, in a Uint8Array. */
  codes: Int8Array | Uint8Array
  /** [rows, groups] */
  scale: Float32Array
  /** [rows, groups]; null: all zero. */
  zeroPoint: Int8Array | null
  /** Divides `columns`; may be equal to it. */
  groupSize: number
  /** What codes are: floats of this kind, which have no zero points, or integers (null). */
  float: SmallFloat | null
  /** Smallest and largest code; of floats their values: ±448, ±6. */
  min: number
  max: number
  /** How many times scales and codes are each bettered once; 0: only `loss` is found. */
  rounds: number
  /** What new scales are rounded to; null: scales stay as they are. */
  scaleDtype: FloatDType | null
}

export interface RefineResult {
  /** [rows, columns], of the kind given. */
  codes: Int8Array | Uint8Array
  /** [rows, groups] */
  scale: Float32Array
  /** [rows] (w - q)ᵀ H (w - q) at the end. */
  loss: Float32Array
}

/** The hot loops. Two implementations, `reference` (plain TypeScript) and wasm, give the same bytes for any number of threads. */
export interface Kernels {
  readonly name: 'wasm' | 'reference'
  readonly threads: number
  /**
   * For every row: q_j = round(clamp(w_j / s + z)), e_j = (w_j - (q_j - z) s) / U_jj, w_k -= e_j U_jk for k > j (GPTQ, arXiv 2210.17323).
   * Rounds to the nearest integer or float, halves to even.
   */
  sweep(input: SweepInput): Promise<SweepResult>
  /**
   * U (upper, row major [n, n]) with inverse(H) = UᵀU for a symmetric H [n, n]: rows and columns reversed, one Cholesky L, one triangular
   * inverse, reversed back. Null when H is not positive definite. Inner sums in float64.
   */
  inverseFactor(h: Float32Array, n: number): Promise<Float32Array | null>
  /**
   * [rows, groups] the first candidate with the least Σ_j importance_j |w_j - (q_j - z) s|^norm, q_j = clamp(round(w_j / s + z)) as in
   * `sweep`. Sums in float32, j in order; a candidate whose sum is not finite is never chosen, and where all are such the first is.
   */
  searchScales(input: SearchInput): Promise<Int32Array>
  /**
   * q = round(clamp(w / s + z)) as in `sweep`, without feedback. Steps in float32, sums in float64 in four parts by column modulo 4 (in one
   * where `columns` or `columnSpan` are no multiples of 4).
   */
  roundWeights(input: RoundInput): Promise<RoundResult>
  /**
   * `searchScales` (norm 2, all columns alike) among the scales largest * ratio / ((max - min) / 2), rounded to their type, 0 to its epsilon;
   * then `roundWeights`, while the group is in the cache.
   */
  roundGroups(input: RoundGroupsInput): Promise<RoundGroupsResult>
  /**
   * Lowers (w - q)ᵀ H (w - q) of every row by turns: all scales of the row by least squares, kept only if the loss falls, then each code in
   * order by the best step for it alone (cyclic coordinate descent). Neither step raises the loss, but for float32 rounding. The first is
   * left out where scales stay.
   */
  refine(input: RefineInput): Promise<RefineResult>
  close(): Promise<void>
}

/**
 * llmpress/math: the classic quantizers as functions of plain arrays. Values are float32 (any array of numbers), arithmetic is float64, halves
 * round to even, codes are clipped before they are cast. Nothing here knows of models or files.
 */

export { type Absmax, absmaxDequantize, absmaxQuantize } from './math/absmax.ts'
export { type Asymmetric, type AsymmetricOptions, dequantizeAsymmetric, quantizeAsymmetric } from './math/asymmetric.ts'
export { type ErrorStatistics, errorStatistics } from './math/error-statistics.ts'
export { type GroupOptions, type Groups, groupDequantize, groupQuantize } from './math/groups.ts'
export type { ScaleOptions } from './math/scale.ts'
export { dequantizeSymmetric, quantizeSymmetric, type Symmetric, type SymmetricOptions } from './math/symmetric.ts'
export type { Range } from './math/values.ts'
export { type ZeroPoint, zeropointDequantize, zeropointQuantize } from './math/zero-point.ts'
export type { FloatDType } from './numerics/dtype.ts'
export { roundHalfEven } from './numerics/round.ts'
export { UserError } from './util/errors.ts'

import type { Int8Report, LinearReport } from '../modifiers/modifier.ts'

const four = (value: number) => value.toFixed(4)
const six = (value: number) => value.toFixed(6)

/** Lines about the inputs of a linear as they were measured. */
export function calibrationLines({ name, int8 }: LinearReport): string[] {
  if (!int8) return []
  const { inputs, score } = int8
  return [`Layer ${name}:`, `  mean: ${four(inputs.mean)}`, `  std: ${four(inputs.std)}`, `  symmetry_score: ${four(score)}`]
}

/** Lines about what became of a linear: the mode, the weight before, the scale, the codes. */
export function quantizationLines({ name, int8 }: LinearReport): string[] {
  if (!int8) return []
  const { mode, score, weight, scale, scaleDtype, zeroPoint, codes } = int8
  return [
    `Layer ${name}: ${mode} quantization (symmetry_score: ${four(score)})`,
    `  original: min=${six(weight.min)}, max=${six(weight.max)}, mean=${six(weight.mean)}, std=${six(weight.std)}`,
    `  scale: ${between(scale, six)}`,
    ...(scaleDtype ? [`  scale_dtype: ${scaleDtype}`] : []),
    ...(zeroPoint ? [`  zero_point: ${between(zeroPoint, (value) => value.toFixed(1))}`] : []),
    `  quantized: min=${codes.min}, max=${codes.max}`,
  ]
}

/** A line about a linear that no measurement of inputs decided on. */
export function roundedLines({ name, int8, scheme, error }: LinearReport): string[] {
  return int8 ? [] : [`Layer ${name}: ${scheme} (squared error of the weights: ${(100 * error).toFixed(4)} %)`]
}

/** One value, or the smallest and largest where rows differ. */
function between({ min, max }: Int8Report['scale'], shown: (value: number) => string): string {
  return min === max ? shown(min) : `${shown(min)} to ${shown(max)}`
}

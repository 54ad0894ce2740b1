import { plainLayout } from '../plain-layout.ts'
import { weightKind } from '../weight-kind.ts'

/** E4M3 weights beside quantized activations (FP8, FP8_DYNAMIC, FP8_BLOCK). */
export const layout = plainLayout(
  'float-quantized',
  ['float'],
  (scheme) => weightKind(scheme) === 'float8' && scheme.input_activations !== null,
)

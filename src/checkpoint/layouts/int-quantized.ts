import { plainLayout } from '../plain-layout.ts'
import { weightKind } from '../weight-kind.ts'

/** Integers beside quantized activations (W8A8): one int8 per code, whatever the number of bits. */
export const layout = plainLayout('int-quantized', ['int'], (scheme) => weightKind(scheme) === 'int' && scheme.input_activations !== null)

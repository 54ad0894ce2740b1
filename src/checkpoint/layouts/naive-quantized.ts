import { plainLayout } from '../plain-layout.ts'
import { weightKind } from '../weight-kind.ts'

/** E4M3 weights alone. Some older checkpoints store integers under this name too, so they can be read. */
export const layout = plainLayout(
  'naive-quantized',
  ['float', 'int'],
  (scheme) => weightKind(scheme) === 'float8' && scheme.input_activations === null,
)

import { plainLayout } from '../plain-layout.ts'
import { weightKind } from '../weight-kind.ts'

/** E4M3 weights in groups of 32 with power-of-two scales (MXFP8, MXFP8A16; OCP microscaling formats). */
export const layout = plainLayout('mxfp8-quantized', ['float'], (scheme) => weightKind(scheme) === 'mxfp8')

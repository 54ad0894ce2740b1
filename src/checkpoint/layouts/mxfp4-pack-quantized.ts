import { fp4Layout } from '../fp4-layout.ts'
import { weightKind } from '../weight-kind.ts'

/** 4-bit floats in groups of 32 with power-of-two scales (MXFP4, MXFP4A16; OCP microscaling formats). */
export const layout = fp4Layout('mxfp4-pack-quantized', (scheme) => weightKind(scheme) === 'mxfp4')

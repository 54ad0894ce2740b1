import { fp4Layout } from '../fp4-layout.ts'
import { weightKind } from '../weight-kind.ts'

/** 4-bit floats in groups of 16 with E4M3 scales under one float32 scale for the tensor (NVFP4, NVFP4A16). */
export const layout = fp4Layout('nvfp4-pack-quantized', (scheme) => weightKind(scheme) === 'nvfp4')

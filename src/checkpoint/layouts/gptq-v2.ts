import { gptqLayout } from '../gptq-layout.ts'

/** GPTQ files with `checkpoint_format: gptq_v2`: zero points are stored as they are. */
export const layout = gptqLayout('gptq_v2', 0)

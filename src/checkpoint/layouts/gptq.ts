import { gptqLayout } from '../gptq-layout.ts'

/** GPTQ files as they always were (`checkpoint_format: gptq`): zero points are stored 1 less than they are. */
export const layout = gptqLayout('gptq', 1)

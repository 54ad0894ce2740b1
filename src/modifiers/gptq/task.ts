import type { Quantized } from '../../checkpoint/layouts/layout.ts'
import type { QuantizationArgs, QuantizationScheme } from '../../checkpoint/quantization-config.ts'
import type { Grid } from '../../schemes/qparams.ts'
import type { Linear, LinearReport, Stage } from '../modifier.ts'
import type { Factor } from '../statistics/hessian.ts'
import type { StageMoments } from '../statistics/moments.ts'
import type { Levers } from './quality.ts'

/** A linear with all that GPTQ knows about it. */
export interface Task {
  readonly stage: Stage
  readonly moments: StageMoments
  /** Null where the Hessian could not be factored: then the linear is rounded. */
  readonly factor: Factor | null
  readonly levers: Levers
  readonly linear: Linear
  readonly scheme: QuantizationScheme
  readonly args: QuantizationArgs
  /** [rows, columns] what is rounded: the linear's own weight, or what a target makes of it. */
  readonly weight: Float32Array
  /** The target of `weight`, as the report has it; null where it is the linear's own. */
  readonly target: LinearReport['target'] | null
  /** NVFP4: the global scale of what is rounded, and of the linears' own weights, over the stage. Else null. */
  readonly globalScale: number | null
  readonly plainGlobalScale: number | null
}

/** A linear and what it is rounded to. */
export interface Gridded {
  readonly task: Task
  readonly grid: Grid
}

/** A linear and what became of it. */
export interface Compressed {
  readonly task: Task
  readonly quantized: Quantized
  /** [rows] what the sweep cost each row, as in `SweepResult`; null where none was made. */
  readonly loss: Float32Array | null
}

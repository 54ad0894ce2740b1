import type { Kernels, SweepInput, SweepResult } from '../kernels/kernels.ts'

export const ENGINES = ['gpu', 'webgpu', 'native', 'wasm'] as const
export type EngineName = (typeof ENGINES)[number]

/** An engine that was asked for and did not open. */
export interface RejectedEngine {
  readonly engine: EngineName
  readonly why: string
  /** True where it is there and failed, false where its packages or its device are not. */
  readonly isPresent: boolean
}

/** The tensor library's backend of this process. Tensors are made with @tensorflow/tfjs-core, products with `matMul` of this folder. */
export interface Engine {
  /** `none` in a run that multiplies nothing: then no backend was opened, and no tensors can be made. */
  readonly name: EngineName | 'none'
  /** For people: `TensorFlow 2.21.0, 2 threads`. */
  readonly detail: string
  /** Better engines that were not taken, and why. */
  readonly rejected: readonly RejectedEngine[]
  /**
   * As Kernels.inverseFactor, on TensorFlow's Cholesky and triangular solve; absent where the backend has none. `h` is used up: where there is
   * a factor it stands in the same memory.
   */
  inverseFactor?(h: Float32Array, n: number): Promise<Float32Array | null>
  /** As Kernels.sweep, on `kernels` with most of the work in products: to the last bits of sums. Absent where products are no faster. */
  sweep?(kernels: Kernels, input: SweepInput): Promise<SweepResult>
}

/** An engine that is there. */
export interface OpenedEngine extends Engine {
  readonly name: EngineName
}

/** Stands in for an engine where there is nothing to multiply. Modifiers that make tensors have `needs` say `inputs`. */
export const NO_ENGINE: Engine = { name: 'none', detail: 'nothing to multiply', rejected: [] }

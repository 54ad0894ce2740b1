import type { Tensor2D } from '@tensorflow/tfjs-core'
import type { Quantized } from '../checkpoint/layouts/layout.ts'
import type { QuantizationScheme } from '../checkpoint/quantization-config.ts'
import type { Engine } from '../engine/engine.ts'
import type { Kernels } from '../kernels/kernels.ts'
import type { FloatDType } from '../numerics/dtype.ts'

/** A linear while it is worked on. The modifier that the recipe gives it to sets `quantized` and `report`. */
export interface Linear {
  /** Full module name. */
  readonly name: string
  readonly rows: number
  readonly columns: number
  /** The type its weight is stored in; scales are rounded to it before codes are computed. */
  readonly dtype: FloatDType
  /** [rows, columns] float32. */
  readonly weight: Float32Array
  /** Set by the modifier that compresses it. */
  quantized: Quantized | null
  report: LinearReport | null
}

/** What happened to one linear. Everything out of the ordinary is here, never only in a log. */
export interface LinearReport {
  name: string
  /** `GPTQ`, `RTN`. */
  method: string
  scheme: string
  /** Relative squared error: of the outputs on the calibration rows (`outputs`), or of the weights where there are no inputs. */
  error: number
  errorOf: 'outputs' | 'weights'
  /** The same error of plain rounding, where the method has it at hand. */
  rtnError?: number
  seconds: number
  /** GPTQ: the damping that made the Hessian invertible. */
  damping?: number
  /** Input channels that were zero on every calibration token. */
  deadColumns?: number
  /** Set when the method asked for was not the one used. */
  fallback?: string
}

/** Linears that read the same input, at the moment when that input is known. */
export interface Stage {
  /** `model.layers.3 · attention inputs` */
  readonly name: string
  readonly linears: readonly Linear[]
  readonly engine: Engine
  readonly kernels: Kernels
  readonly signal: AbortSignal
  /** Shows every calibration batch's input [tokens, columns]; the tensor is only valid during the call. Rejects in runs without data. */
  eachInput(visit: (input: Tensor2D) => void): Promise<void>
}

/** One algorithm of a recipe, created per run. */
export interface Modifier {
  /** `targets` are the linears of the stage that the recipe gives to this modifier, with their schemes. */
  apply(stage: Stage, targets: ReadonlyMap<Linear, QuantizationScheme>): Promise<void>
}

/** What a modifier file exports under the name `modifier`, and what `defineModifier` takes from users. */
export interface ModifierDefinition<Options = never> {
  /** The name in recipes, as llm-compressor spells it (`GPTQModifier`), then shorter ones (`gptq`). */
  readonly names: readonly [string, ...string[]]
  /** One sentence, with the paper. */
  readonly description: string
  /** JSON schema of the options: an object with `additionalProperties: false`. The recipe's options are validated against it. */
  readonly schema: Readonly<Record<string, unknown>>
  /**
   * True when it gives linears a scheme: then `targets`, `ignore`, `scheme`, `config_groups` are among its options. Others are refused
   * in this version.
   */
  readonly quantizes: boolean
  /**
   * `inputs`: the engine runs the calibration rows through the layers and `apply` may call `eachInput`. `weights`: there is no engine, and
   * nothing of @tensorflow/tfjs-core can be used.
   */
  needs(options: Options, schemes: readonly QuantizationScheme[]): 'weights' | 'inputs'
  /** Why it cannot use a scheme, or null: the plan asks before compute. */
  refuses?(scheme: QuantizationScheme): string | null
  /** Fills in what the modifier itself decides about a scheme, as it will stand in config.json (GPTQ: actorder). Throws UserError. */
  completes?(options: Options, scheme: QuantizationScheme): QuantizationScheme
  create(options: Options): Modifier
}

import type { Tensor2D } from '@tensorflow/tfjs-core'
import type { Method, Quantized } from '../checkpoint/layouts/layout.ts'
import type { QuantizationScheme } from '../checkpoint/quantization-config.ts'
import type { Engine } from '../engine/engine.ts'
import type { Kernels } from '../kernels/kernels.ts'
import type { OpenModel } from '../models/open-model.ts'
import type { FloatDType } from '../numerics/dtype.ts'
import type { FloatName } from '../numerics/dtype-names.ts'
import type { Shelf } from '../numerics/symmetric-matrix.ts'
import type { SchemeOptions } from '../schemes/resolve.ts'
import type { SpareMemory } from '../util/spare-memory.ts'

/** A linear while it is worked on. The modifier that the recipe gives it to sets `quantized` and `report`. */
export interface Linear {
  /** Full module name. */
  readonly name: string
  readonly rows: number
  readonly columns: number
  /** The type its scales are stored in, that of the weight unless the scheme or the format says; they are rounded to it before codes are computed. */
  readonly dtype: FloatDType
  /** The type its bias is stored in; as `dtype` where absent. */
  readonly biasDtype?: FloatDType
  /** What the recipe gives it in the end, by whichever modifier; null where it stays as it is. */
  readonly scheme: QuantizationScheme | null
  /** [rows, columns] float32: of the original model, with its columns rescaled where a transform did so. Not to be written to. */
  readonly weight: Float32Array
  /** [rows] float32, null where the linear has none. What is written to it is what is stored. */
  readonly bias: Float32Array | null
  /** Set by the modifier that compresses it. */
  quantized: Quantized | null
  report: LinearReport | null
  /** What transforms did to its input channels, in order. */
  rescaled?: readonly RescaleReport[]
}

/** What a transform did to the input channels of a stage. */
export interface RescaleReport {
  /** `AWQ`, `SmoothQuant`. */
  readonly by: string
  /**
   * Relative squared error of the outputs of plain rounding, of all linears of the stage that will be quantized together, without and with
   * the rescaling; equal where none was better. Given by transforms that measure it.
   */
  readonly lossBefore?: number
  readonly lossAfter?: number
}

/** What happened to one linear. Everything out of the ordinary is here, never only in a log. */
export interface LinearReport {
  name: string
  /** `GPTQ`, `RTN`. */
  method: string
  scheme: string
  /**
   * Relative squared error: of the outputs on the calibration rows (`outputs`), of GPTQ by 256 of a linear's rows where it has more and they share no scale, or of the weights
   * where there are no inputs.
   */
  error: number
  errorOf: 'outputs' | 'weights'
  /** The error on calibration rows that were held back from the method, where there are any. */
  heldBackError?: number
  /** What transforms did to its input channels before. */
  rescaled?: readonly RescaleReport[]
  /** The same error of plain rounding, where the method has it at hand. */
  rtnError?: number
  seconds: number
  /** What the codes aim at instead of the original outputs, and how far of the way they go. */
  target?: { kind: 'inputs' | 'residual'; step: number }
  /** GPTQ: the damping that made the Hessian invertible, and the one asked for where that did not. */
  damping?: number
  dampingAsked?: number
  /** Input channels that were zero on every calibration token. */
  deadColumns?: number
  /** Scales too small for the type they are stored in: what they scale became zero. Set by the run. */
  clippedScales?: number
  /** CRC-32 of the codes and scales as they are stored (`codesChecksum`): what must come out of the files again. Set by the run. */
  checksum?: string
  /** Set when the method asked for was not the one used. */
  fallback?: string
  /** `Int8Modifier`: which mode was chosen, and why. */
  int8?: Int8Report
}

/** How `Int8Modifier` came to what it stored. */
export interface Int8Report {
  mode: 'symmetric' | 'asymmetric'
  /** exp(-|mean| / (std + epsilon)) of the inputs. */
  score: number
  inputs: { mean: number; std: number; min: number; max: number }
  weight: { mean: number; std: number; min: number; max: number }
  /** Smallest and largest of all rows; the same where a linear has one. */
  scale: { min: number; max: number }
  /** Counted from 0 to 255; null in the symmetric mode. */
  zeroPoint: { min: number; max: number } | null
  /** -127 to 127, or 0 to 255. */
  codes: { min: number; max: number }
  /** The type of the stored scales, where the options name it; else that of the weight. */
  scaleDtype?: FloatName
}

/** Calibration rows of one length that go through the model together. Tensors are valid during the visit only. */
export interface CalibrationBatch {
  /** [rows * length, columns] of the stage's input. */
  readonly rows: number
  readonly length: number
  /** One row in sixteen is held back, where there are so many: to judge by, not to fit to. */
  readonly heldBack: boolean
  /** The residual stream [tokens, hidden] that the stage's outputs are added to; null where they are not added as they are. */
  readonly residual: Tensor2D | null
  /** The same place in the uncompressed model, in runs where a modifier needs `originals`. */
  readonly original: {
    /** Its input of the stage. */
    readonly input: Tensor2D
    /** Its residual stream once the stage's outputs are added; null as `residual`. */
    readonly residualAfter: Tensor2D | null
  } | null
}

/** Linears that read the same input, at the moment when that input is known. */
export interface Stage {
  /** `model.layers.3 · attention inputs` */
  readonly name: string
  readonly linears: readonly Linear[]
  readonly engine: Engine
  readonly kernels: Kernels
  readonly signal: AbortSignal
  /** False in runs without data. */
  readonly hasInputs: boolean
  /** True where the outputs of the only linear are added to the residual stream as they are. */
  readonly addsToResidual: boolean
  /**
   * Where other stages of the layer read the very same inputs: what was measured of them so far, by what was asked. Whoever measures puts it
   * there, and nobody changes it.
   */
  readonly measured?: Map<string, unknown>
  /** For large arrays that are not needed for a while; absent where all is kept in memory. */
  readonly shelf?: Shelf
  /** Where codes may lie, where the run uses memory of earlier layers again. */
  readonly memory?: SpareMemory
  /** Shows every calibration batch's input [tokens, columns]; the tensor is only valid during the call. Rejects in runs without data. */
  eachInput(visit: (input: Tensor2D, batch: CalibrationBatch) => void): Promise<void>
  /** As `eachInput`; tensors may be in bfloat16, as factors of products in a run of that precision are. Absent in runs without data. */
  eachFactor?(visit: (input: Tensor2D, batch: CalibrationBatch) => void): Promise<void>
  /**
   * Divides the input channels [columns] by `divisors` and multiplies the columns of all linears of the stage by them, which changes
   * nothing before rounding: the norm or linear that the inputs come from takes up the division in its stored weights. Statistics of
   * inputs are fresh afterwards. Only for modifiers with `rescales`, at the stages that the plan gave them.
   * Gives the divisors in effect, which differ a little where the source's stored type rounds.
   */
  rescaleInputs(divisors: Float32Array): Promise<Float32Array>
}

/** One algorithm of a recipe, created per run. */
export interface Modifier {
  /**
   * Acts on a stage. `targets`: of a quantizing modifier, the linears of the stage that the recipe gives to it, with their schemes; of
   * one that rescales, all linears of the stage that will be quantized.
   */
  apply(stage: Stage, targets: ReadonlyMap<Linear, QuantizationScheme>): Promise<void>
}

/** What a run must have for a modifier: see `ModifierDefinition.needs`. */
export type Needs = 'weights' | 'inputs' | 'originals'

/** Linears and the module whose outputs they read, as patterns over full module names: exact names or `re:`. */
export interface Mapping {
  readonly balance: readonly string[]
  readonly smooth: string
  /** Its place in the options, for errors. */
  readonly path: readonly (string | number)[]
}

/** Which stages a modifier rescales. The plan resolves it against the model, and shows it. */
export interface Rescales<Options> {
  /** What the inputs may come from, where the options name no mappings. */
  readonly sources: readonly ('norm' | 'linear')[]
  /** True when it looks for what suits a quantizer: it needs one later in the recipe, and stages without quantized linears are left out. */
  readonly forQuantizer: boolean
  /** The mappings that the options name; null: every stage with a source of the kinds above. */
  mappings(options: Options): readonly Mapping[] | null
  /** A stage is left out when its source and all its linears match. */
  ignore(options: Options): readonly string[]
}

/** What a modifier file exports under the name `modifier`, and what `defineModifier` takes from users. */
export interface ModifierDefinition<Options = never> {
  /** The name in recipes, as llm-compressor spells it (`GPTQModifier`), then shorter ones (`gptq`). */
  readonly names: readonly [string, ...string[]]
  /** One sentence, with the paper. */
  readonly description: string
  /** JSON schema of the options: an object with `additionalProperties: false`. The recipe's options are validated against it. */
  readonly schema: Readonly<Record<string, unknown>>
  /** True when it gives linears a scheme: then `targets`, `ignore`, `scheme`, `config_groups` are among its options. */
  readonly quantizes: boolean
  /** Whose format its codes are for, where it is not compressed-tensors: the run is written in that one. */
  readonly format?: Method
  /** Why it leaves a linear of this name as it is though its targets match, or null; the plan warns of those. */
  leaves?(name: string): string | null
  /** Set when it rescales the inputs of stages, into the norm or linear that they come from. It then acts before the quantizers. */
  readonly rescales?: Rescales<Options>
  /**
   * Set when it rewrites weights as they are read, such as a rotation: gives the model as all that follows sees it. Acts at the plan,
   * before all other modifiers, and may read norms but no large tensors there. `apply` is not called then.
   */
  rewrites?(options: Options, source: OpenModel): Promise<OpenModel>
  /**
   * `inputs`: the engine runs the calibration rows through the layers and `apply` may call `eachInput`. `originals`: so do the rows
   * through the uncompressed model, beside. `weights`: where no other modifier needs more, there is no engine, and nothing of
   * @tensorflow/tfjs-core can be used.
   */
  needs(options: Options, schemes: readonly QuantizationScheme[]): Needs
  /** True when it measures second moments of a stage's inputs [columns, columns], which forecasts of memory and time have to count. */
  readonly secondMoments?: true
  /** What options of its own say about schemes, in the words of `quantizationOptions`; those options themselves where it is left out. */
  schemes?(options: Options): SchemeOptions
  /** Rows of calibration data where the run does not say; the usual number where it is left out. */
  calibrationRows?(options: Options): number
  /** Why it cannot use a scheme (of one that rescales: a scheme of linears that it rescales), or null: the plan asks before compute. */
  refuses?(scheme: QuantizationScheme, options?: Options): string | null
  /** Fills in what the modifier itself decides about a scheme, as it will stand in config.json (GPTQ: actorder). Throws UserError. */
  completes?(options: Options, scheme: QuantizationScheme): QuantizationScheme
  create(options: Options): Modifier
}

import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'

/** Where a rule comes from. `run`: a checkpoint was loaded, or refused, as it says; `read`: seen in the source only. */
export interface Source {
  /** `vLLM 0.32.0` */
  readonly version: string
  /** File and function. */
  readonly where: string
  readonly evidence: 'read' | 'run'
}

/** A linear as a checkpoint stores it. */
export interface ServedLinear {
  readonly name: string
  readonly rows: number
  readonly columns: number
  /** With the on-disk format filled in; null where the linear is not compressed. */
  readonly scheme: QuantizationScheme | null
  /** Some stored scale is below zero. Unknown before the checkpoint is there. */
  readonly negativeScales?: boolean
  /** The second-level scale of NVFP4 weights. Unknown before the checkpoint is there. */
  readonly globalScale?: number
}

/** A layer as servers compute it: one linear, or several that they fuse into one matrix product. */
export interface ServedLayer {
  /** `model.layers.0.self_attn.qkv_proj`, or the linear's own name. */
  readonly name: string
  readonly linears: readonly [ServedLinear, ...ServedLinear[]]
  /** The output projection, which servers treat apart from other linears. */
  readonly isHead: boolean
}

/** A fused layer whose linears agree: what the choice of a kernel depends on. */
export interface KernelInput {
  readonly weights: QuantizationArgs
  readonly inputs: QuantizationArgs | null
  readonly outputs: QuantizationArgs | null
  readonly format: string | null
  /** Rows of each fused linear. */
  readonly rows: readonly number[]
  readonly columns: number
  readonly isHead: boolean
  /** The type of the model's floats in config.json: `bfloat16`. */
  readonly dtype: string | null
}

/** A checkpoint as a server sees it: config.json and the sizes of its linears. */
export interface ServedModel {
  readonly modelType: string
  readonly dtype: string | null
  readonly layers: readonly ServedLayer[]
  /** `config_groups`, in the order of config.json: vLLM and SGLang take the first that fits. */
  readonly groups: readonly QuantizationScheme[]
  readonly ignore: readonly string[]
  readonly kvCacheScheme: QuantizationArgs | null
}

/** What a kind of device does with a layer. Compute capabilities of NVIDIA GPUs are written as servers do: 75, 90. */
export type Verdict =
  | {
      readonly runs: true
      readonly kernel: string
      /** Lowest compute capability; null where there is no limit. */
      readonly from: number | null
      /** First compute capability that is too high again; null where there is none. */
      readonly below: number | null
      readonly source: Source
    }
  | { readonly runs: false; readonly reason: string; readonly source: Source }

/** Something that a server does otherwise than the checkpoint says, without refusing it. */
export interface Notice {
  readonly severity: 'warning' | 'info'
  readonly message: string
  readonly source: Source
}

/** What a server makes of one layer, by device. AMD and Intel GPUs are not covered. */
export interface Ruling {
  readonly nvidia: Verdict
  readonly cpu: Verdict
  readonly notices: readonly Notice[]
}

/** One thing to know before a checkpoint is served. An error: the server does not load it on any device. */
export interface ServerFinding {
  readonly severity: 'error' | 'warning' | 'info'
  /** Full names of the linears; empty where it is about the whole checkpoint. */
  readonly modules: readonly string[]
  readonly message: string
  readonly source: Source
}

/** A server's rules. */
export interface Server {
  /** For people: `vLLM 0.32.0`. */
  readonly version: string
  /** The kernels of a layer. */
  ruling(input: KernelInput): Ruling
  /** What does not depend on kernels: names, fused linears, the key-value cache. */
  problems(model: ServedModel): ServerFinding[]
}

export function runs(kernel: string, source: Source, from: number | null = null, below: number | null = null): Verdict {
  return { runs: true, kernel, from, below, source }
}

export function refused(reason: string, source: Source): Verdict {
  return { runs: false, reason, source }
}

/** The same refusal on every device. */
export function refusedEverywhere(reason: string, source: Source): Ruling {
  return { nvidia: refused(reason, source), cpu: refused(reason, source), notices: [] }
}

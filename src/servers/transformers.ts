import { isAwq, isBitsAndBytes, isGptq } from './exchange-formats.ts'
import { isMxfp4, isMxfp8, isNvfp4 } from './scheme-kinds.ts'
import {
  type KernelInput,
  type Ruling,
  refusedEverywhere,
  runs,
  type ServedLinear,
  type ServedModel,
  type Server,
  type ServerFinding,
  type Source,
} from './server.ts'

const TRANSFORMERS = 'transformers 5.17.0'

const LOADS: Source = {
  version: TRANSFORMERS,
  where: 'transformers/quantizers/quantizer_compressed_tensors.py: CompressedTensorsHfQuantizer',
  evidence: 'run',
}
const FORMATS: Source = { version: 'compressed-tensors 0.19.0', where: 'compressed_tensors/compressors: decompress', evidence: 'read' }

const GPTQMODEL: Source = {
  version: TRANSFORMERS,
  where: 'transformers/quantizers/quantizer_gptq.py, quantizer_awq.py: validate_environment',
  evidence: 'run',
}

const BITSANDBYTES: Source = {
  version: TRANSFORMERS,
  where: 'transformers/quantizers/quantizer_bnb_4bit.py, quantizer_bnb_8bit.py: validate_environment',
  evidence: 'run',
}

const BITSANDBYTES_LINEARS: Source = {
  version: TRANSFORMERS,
  where: 'transformers/integrations/bitsandbytes.py: replace_with_bnb_linear',
  evidence: 'read',
}

/** The names that compressed-tensors registers a decompressor under. */
const KNOWN = [
  'pack-quantized',
  'int-quantized',
  'float-quantized',
  'naive-quantized',
  'nvfp4-pack-quantized',
  'mxfp4-pack-quantized',
  'mxfp8-quantized',
]

function ruling(input: KernelInput): Ruling {
  const { weights, format } = input
  if (isGptq(input) || isAwq(input)) {
    const verdict = runs('GPTQModel', GPTQMODEL)
    const message = `GPTQModel is needed beside it${isGptq(input) ? ', and optimum' : ''}`
    return { nvidia: verdict, cpu: verdict, notices: [{ severity: 'info', message, source: GPTQMODEL }] }
  }
  if (isBitsAndBytes(input)) {
    const verdict = runs('bitsandbytes', BITSANDBYTES)
    const notice = { severity: 'info', message: 'bitsandbytes and accelerate are needed beside it', source: BITSANDBYTES } as const
    return { nvidia: verdict, cpu: verdict, notices: [notice] }
  }
  if (!KNOWN.includes(format ?? '')) return refusedEverywhere(`format must be one of ${KNOWN.join(', ')}, found ${format}`, FORMATS)
  const fours = weights.type === 'float' && weights.num_bits === 4
  if (fours && !isNvfp4(weights) && !isMxfp4(weights)) return refusedEverywhere('4-bit floats are NVFP4 or MXFP4', FORMATS)
  if (weights.type === 'float' && weights.strategy === 'group' && !fours && !isMxfp8(weights))
    return refusedEverywhere('8-bit floats in groups are MXFP8', FORMATS)
  // Weights are dequantized on the first forward pass, and multiplied as they were before compression.
  return { nvidia: runs('dequantizing', LOADS), cpu: runs('dequantizing', LOADS), notices: [] }
}

const FALCON: Source = { version: TRANSFORMERS, where: 'transformers/models/falcon/modeling_falcon.py: FalconLinear', evidence: 'run' }
const EXPERTS: Source = {
  version: TRANSFORMERS,
  where: 'transformers/conversion_mapping.py: gpt_oss has no conversion from single experts',
  evidence: 'run',
}

const SINGLE_EXPERTS: Source = {
  version: TRANSFORMERS,
  where: 'transformers/quantizers/base.py: SequentialLlama4TextExperts',
  evidence: 'run',
}
const EXPERT_FORMS: Source = {
  version: TRANSFORMERS,
  where: 'transformers/integrations/compressed_tensors.py: DecompressExperts',
  evidence: 'run',
}

/** Models that are not loaded compressed, whatever can be dequantized. */
function problems({ modelType, layers }: ServedModel): ServerFinding[] {
  const linears = layers.flatMap((layer) => layer.linears)
  const finding = (found: readonly ServedLinear[], message: string, source: Source): ServerFinding[] =>
    found.length === 0 ? [] : [{ severity: 'error', modules: found.map(({ name }) => name), message, source }]
  if (modelType === 'falcon') {
    const own = linears.filter(({ scheme }) => /^bitsandbytes-/.test(scheme?.format ?? ''))
    if (own.length > 0)
      return finding(
        own,
        "bitsandbytes takes the place of torch's own linears alone, and those of Falcon are a class of its own",
        BITSANDBYTES_LINEARS,
      )
    const packed = linears.filter(({ scheme }) => /(^|-)pack-/.test(scheme?.format ?? ''))
    return finding(
      packed,
      'Falcon is initialized by the weights of its linears, which packed ones have not: no packed Falcon is loaded',
      FALCON,
    )
  }
  const single = linears.filter(({ name }) => /\.experts\.\d+\./.test(name))
  const experts = single.filter(({ scheme }) => scheme)
  if (modelType?.startsWith('llama4') && experts.length < single.length) {
    const left = single.filter(({ scheme }) => !scheme)
    const message = 'experts of Llama 4 that are not compressed are looked for one by one beside compressed linears, and drawn at random'
    return finding(left, message, SINGLE_EXPERTS)
  }
  if (modelType !== 'gpt_oss') {
    const failing = experts.filter(({ scheme }) => scheme?.weights && (!scheme.weights.symmetric || scheme.format === 'int-quantized'))
    return finding(failing, 'experts with zero points, or in int-quantized form, fail in its conversion to one tensor', EXPERT_FORMS)
  }
  const message = 'the experts of gpt-oss are looked for in one tensor: compressed one by one they are not found, and drawn at random'
  return finding(experts, message, EXPERTS)
}

/** transformers' rules with compressed-tensors, which it needs at 0.15 or newer: it loads whatever can be dequantized, on any device. */
export const transformers: Server = { version: TRANSFORMERS, ruling, problems }

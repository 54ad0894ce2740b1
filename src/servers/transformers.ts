import { isMxfp4, isMxfp8, isNvfp4 } from './scheme-kinds.ts'
import { type KernelInput, type Ruling, refusedEverywhere, runs, type Server, type Source } from './server.ts'

const TRANSFORMERS = 'transformers 5.17.0'

const LOADS: Source = {
  version: TRANSFORMERS,
  where: 'transformers/quantizers/quantizer_compressed_tensors.py: CompressedTensorsHfQuantizer',
  evidence: 'run',
}
const FORMATS: Source = { version: 'compressed-tensors 0.19.0', where: 'compressed_tensors/compressors: decompress', evidence: 'read' }

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

function ruling({ weights, format }: KernelInput): Ruling {
  if (!KNOWN.includes(format ?? '')) return refusedEverywhere(`format must be one of ${KNOWN.join(', ')}, found ${format}`, FORMATS)
  const fours = weights.type === 'float' && weights.num_bits === 4
  if (fours && !isNvfp4(weights) && !isMxfp4(weights)) return refusedEverywhere('4-bit floats are NVFP4 or MXFP4', FORMATS)
  if (weights.type === 'float' && weights.strategy === 'group' && !fours && !isMxfp8(weights))
    return refusedEverywhere('8-bit floats in groups are MXFP8', FORMATS)
  // Weights are dequantized on the first forward pass, and multiplied as they were before compression.
  return { nvidia: runs('dequantizing', LOADS), cpu: runs('dequantizing', LOADS), notices: [] }
}

/** transformers' rules with compressed-tensors, which it needs at 0.15 or newer: it loads whatever can be dequantized, on any device. */
export const transformers: Server = { version: TRANSFORMERS, ruling, problems: () => [] }

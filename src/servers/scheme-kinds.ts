import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'

/** The parts of the args that decide how a tensor is stored and computed with. */
function signature(args: QuantizationArgs | null): string {
  if (!args) return 'none'
  const { num_bits, type, strategy, group_size, block_structure, symmetric, dynamic } = args
  return [type, num_bits, strategy, group_size, block_structure, symmetric, dynamic].join()
}

/** Whether two schemes come to the same codes and the same computation; null stands for a linear that is not compressed. */
export function sameScheme(a: QuantizationScheme | null, b: QuantizationScheme | null): boolean {
  if (!a?.weights || !b?.weights) return !a?.weights && !b?.weights
  const of = (scheme: QuantizationScheme) => [scheme.weights, scheme.input_activations, scheme.output_activations].map(signature).join('|')
  return of(a) === of(b)
}

/** 4-bit floats in groups of 16 under a global scale. */
export function isNvfp4(args: QuantizationArgs | null): boolean {
  return args?.type === 'float' && args.num_bits === 4 && args.strategy === 'tensor_group' && args.group_size === 16 && args.symmetric
}

function isMx(args: QuantizationArgs | null, bits: number): args is QuantizationArgs {
  return args?.type === 'float' && args.num_bits === bits && args.strategy === 'group' && args.group_size === 32 && args.symmetric
}

/** 4-bit floats in groups of 32. */
export function isMxfp4(args: QuantizationArgs | null): boolean {
  return isMx(args, 4)
}

/** 8-bit floats in groups of 32 with scales that are powers of two. */
export function isMxfp8(args: QuantizationArgs | null): boolean {
  return isMx(args, 8) && /uint8/.test(args.scale_dtype ?? '')
}

function isWhole(args: QuantizationArgs): boolean {
  return args.strategy === 'tensor' || args.strategy === 'channel'
}

/** 8-bit float weights with a scale a tensor, row or block. */
export function isFp8Weights(weights: QuantizationArgs): boolean {
  return weights.type === 'float' && weights.num_bits === 8 && weights.symmetric && (isWhole(weights) || weights.strategy === 'block')
}

/** Float inputs that run as 8-bit ones, of whatever width: dynamic, or one symmetric scale a tensor. */
export function isFp8Inputs(inputs: QuantizationArgs | null): inputs is QuantizationArgs {
  if (inputs?.type !== 'float') return false
  return inputs.dynamic !== false || (inputs.symmetric && inputs.strategy === 'tensor')
}

/**
 * 8-bit integer weights, symmetric, with a scale a tensor or row, under inputs of 8 bits by token as they come, or with one stored scale.
 * Servers do not look at the type of the inputs: floats run as integers.
 */
export function isInt8(weights: QuantizationArgs, inputs: QuantizationArgs | null): inputs is QuantizationArgs {
  if (!inputs || weights.num_bits !== 8 || inputs.num_bits !== 8) return false
  if (weights.type !== 'int' || !weights.symmetric || !isWhole(weights)) return false
  return inputs.dynamic === true ? inputs.strategy === 'token' : inputs.strategy === 'tensor'
}

/** Integer weights with scales by row or group. */
export function isGroupedInt(weights: QuantizationArgs): boolean {
  return weights.type === 'int' && (weights.strategy === 'channel' || weights.strategy === 'group')
}

/** 4-bit integer weights in symmetric rows or groups under dynamic 8-bit inputs of a type, by token. */
export function isW4A8(weights: QuantizationArgs, inputs: QuantizationArgs | null, type: 'int' | 'float'): boolean {
  if (!isGroupedInt(weights) || weights.num_bits !== 4 || !weights.symmetric) return false
  return inputs?.type === type && inputs.num_bits === 8 && inputs.dynamic === true && inputs.strategy === 'token'
}

import { parseQuantizationConfig } from '../checkpoint/config.ts'
import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import type { TensorReader } from '../checkpoint/tensor-reader.ts'
import type { LinearSpec } from '../models/architecture.ts'
import { allLinears, type OpenModel } from '../models/open-model.ts'
import { elementCount } from '../numerics/dtype.ts'
import { groupSizeProblem } from '../schemes/scheme.ts'
import { CheckpointError } from '../util/errors.ts'

/** How the inputs of a linear are quantized as it is served. */
export interface ServedInputs {
  readonly args: QuantizationArgs
  /** The scale that is stored for all inputs; null where ranges are found at run time. */
  readonly scale: number | null
}

/**
 * How a checkpoint's inputs are quantized, by linear, for those where they are; reads the stored scales.
 * Errors: CheckpointError for quantization at run time that `forward` does not compute, so that no other model is scored in silence.
 */
export async function servedInputs(source: OpenModel): Promise<Map<string, ServedInputs>> {
  assertComputable(source)
  const served = new Map<string, ServedInputs>()
  for (const spec of allLinears(source.model)) {
    const args = source.compressed.get(spec.name)?.scheme.input_activations
    if (!args) continue
    assertInputs(spec, args)
    served.set(spec.name, { args, scale: args.dynamic === true ? null : await storedScale(source.reader, spec.name) })
  }
  return served
}

function assertComputable({ config }: OpenModel): void {
  const quantization = parseQuantizationConfig(config)
  if (!quantization) return
  if (quantization.kv_cache_scheme) throw notComputed('quantizes the key-value cache (kv_cache_scheme)', 'none')
  for (const [name, { weights, input_activations: inputs, output_activations: outputs }] of Object.entries(quantization.config_groups)) {
    if (outputs) throw notComputed(`quantizes outputs (output_activations of ${name})`, 'weights and inputs only')
    if (inputs && !weights) throw notComputed(`quantizes inputs and no weights (${name})`, 'both or weights only')
  }
}

function assertInputs({ name, columns }: LinearSpec, args: QuantizationArgs): void {
  const { strategy, dynamic, symmetric, type, num_bits: bits } = args
  const isStatic = dynamic === false && strategy === 'tensor' && symmetric
  const isDynamic = dynamic === true && (strategy === 'tensor' || strategy === 'token' || strategy === 'group')
  if ((!isStatic && !isDynamic) || bits > 8 || (type === 'float' && bits !== 8)) {
    const ranges = dynamic === true ? 'dynamic' : dynamic === false ? 'stored' : 'local'
    const found = `${bits}-bit ${type} inputs of ${name} with ${ranges} ranges, strategy ${strategy}${symmetric ? '' : ', asymmetric'}`
    throw notComputed(`has ${found}`, '8-bit dynamic ones (token, tensor, group), or one stored symmetric scale a linear')
  }
  const problem = groupSizeProblem(args, columns)
  if (problem !== null) throw notComputed(`has inputs of ${name} in groups that do not fit`, `other widths: ${problem}`)
}

/** The one positive number in `<linear>.input_scale`. */
async function storedScale(reader: TensorReader, linear: string): Promise<number> {
  const name = `${linear}.input_scale`
  const { shape, file } = reader.info(name)
  const [scale] = elementCount(shape) === 1 ? await reader.readFloats(name) : []
  if (scale > 0 && Number.isFinite(scale)) return scale
  const found = scale === undefined ? `shape [${shape}]` : scale
  throw new CheckpointError(`Cannot evaluate the checkpoint: ${name} is ${found}, expected one positive number.`, { file, tensor: name })
}

function notComputed(found: string, expected: string): CheckpointError {
  const message = `Cannot evaluate the checkpoint: its quantization_config ${found}, which is not computed here yet, expected ${expected}.`
  return new CheckpointError(message, { file: 'config.json' })
}

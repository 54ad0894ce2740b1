import { match } from 'ts-pattern'
import { parseQuantizationConfig } from '../checkpoint/config.ts'
import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import type { TensorReader } from '../checkpoint/tensor-reader.ts'
import type { LinearSpec } from '../models/architecture.ts'
import { allLinears, type OpenModel } from '../models/open-model.ts'
import { elementCount } from '../numerics/dtype.ts'
import { viewAs } from '../numerics/view.ts'
import { groupSizeProblem } from '../schemes/scheme.ts'
import { CheckpointError } from '../util/errors.ts'
import type { StoredScale } from './fake-quantize.ts'

/** How the inputs of a linear are quantized as it is served. */
export interface ServedInputs {
  readonly args: QuantizationArgs
  /** What is stored about all inputs; null where everything is found at run time. */
  readonly scale: StoredScale | null
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
    served.set(spec.name, { args, scale: await storedScale(source.reader, spec.name, args) })
  }
  return served
}

function assertComputable({ config }: OpenModel): void {
  const quantization = parseQuantizationConfig(config)
  if (!quantization) return
  for (const [name, { weights, input_activations: inputs, output_activations: outputs }] of Object.entries(quantization.config_groups)) {
    if (outputs) throw notComputed(`quantizes outputs (output_activations of ${name})`, 'weights and inputs only')
    if (inputs && !weights) throw notComputed(`quantizes inputs and no weights (${name})`, 'both or weights only')
  }
}

function assertInputs({ name, columns }: LinearSpec, args: QuantizationArgs): void {
  const { strategy, dynamic, symmetric, type, num_bits: bits } = args
  const isComputed = match(dynamic)
    .with(false, () => strategy === 'tensor')
    .with(true, () => strategy === 'tensor' || strategy === 'token' || strategy === 'group')
    .with('local', () => strategy === 'tensor_group')
    .exhaustive()
  const isKnown = type === 'int' ? bits <= 8 : symmetric && (bits === 8 || (bits === 4 && hasOwnScales(args)))
  if (!isComputed || !isKnown) {
    const ranges = dynamic === true ? 'dynamic' : dynamic === false ? 'stored' : 'local'
    const found = `${bits}-bit ${type} inputs of ${name} with ${ranges} ranges, strategy ${strategy}${symmetric ? '' : ', asymmetric'}`
    throw notComputed(
      `has ${found}`,
      'integers and 8-bit floats with dynamic ranges (token, tensor, group) or stored ones (tensor), or the 4-bit floats of NVFP4 and MXFP4',
    )
  }
  const problem = groupSizeProblem(args, columns)
  if (problem !== null) throw notComputed(`has inputs of ${name} in groups that do not fit`, `other widths: ${problem}`)
}

/** 4-bit floats come with one-byte scales: groups of 16 in a scaled tensor (NVFP4) or groups of 32 (MXFP4). */
function hasOwnScales({ strategy, group_size: size }: QuantizationArgs): boolean {
  return (strategy === 'tensor_group' && size === 16) || (strategy === 'group' && size === 32)
}

/** `<linear>.input_scale` with its zero point, or `<linear>.input_global_scale`; null where nothing is stored. */
async function storedScale(reader: TensorReader, linear: string, { dynamic, symmetric }: QuantizationArgs): Promise<StoredScale | null> {
  if (dynamic === true) return null
  const value = await oneNumber(reader, `${linear}.${dynamic === 'local' ? 'input_global_scale' : 'input_scale'}`)
  if (symmetric) return { value, zeroPoint: 0 }
  const name = `${linear}.input_zero_point`
  const { dtype, file } = reader.info(name)
  const [zeroPoint] = dtype === 'I8' ? viewAs(Int8Array, await reader.read(name)) : []
  if (zeroPoint !== undefined) return { value, zeroPoint }
  throw new CheckpointError(`Cannot evaluate the checkpoint: ${name} is stored as ${dtype}, expected one I8.`, { file, tensor: name })
}

/** The one positive number in a tensor. */
async function oneNumber(reader: TensorReader, name: string): Promise<number> {
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

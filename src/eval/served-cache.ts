import { parseQuantizationConfig } from '../checkpoint/config.ts'
import type { QuantizationArgs } from '../checkpoint/quantization-config.ts'
import type { OpenModel } from '../models/open-model.ts'
import { elementCount } from '../numerics/dtype.ts'
import { CheckpointError } from '../util/errors.ts'

/** How the key-value cache of a layer is quantized as it is served. */
export interface ServedCache {
  readonly args: QuantizationArgs
  /** Scales of the keys (after rotary embedding): one, or for strategy attn_head one a key-value head. */
  readonly k: Float32Array
  /** Scales of the values, as many. */
  readonly v: Float32Array
}

/**
 * How a checkpoint's key-value cache is quantized, by index of the layer; empty where it is not.
 * Errors: CheckpointError for a cache that is not computed here, for scales that are missing, not positive, or not one a tensor or head.
 */
export async function servedCache(source: OpenModel): Promise<Map<number, ServedCache>> {
  const served = new Map<number, ServedCache>()
  const args = parseQuantizationConfig(source.config)?.kv_cache_scheme
  if (!args) return served
  assertCache(args)
  for (let layer = 0; layer < source.model.layers; layer++) {
    const [k, v] = [await storedScales(source, layer, 'k_scale', args), await storedScales(source, layer, 'v_scale', args)]
    if (k.length !== v.length) {
      throw unusable(`its cache has ${k.length} scales of keys and ${v.length} of values in layer ${layer}`, 'as many of both')
    }
    served.set(layer, { args, k, v })
  }
  return served
}

function assertCache({ type, num_bits: bits, symmetric, dynamic, strategy }: QuantizationArgs): void {
  const isKnown = type === 'float' && bits === 8 && symmetric && dynamic === false
  if (isKnown && (strategy === 'tensor' || strategy === 'attn_head')) return
  const found = `${bits}-bit ${symmetric ? '' : 'asymmetric '}${type}${dynamic === false ? '' : ' with ranges found at run time'}`
  throw unusable(
    `its quantization_config has a kv_cache_scheme of ${found}, strategy ${strategy}`,
    'symmetric 8-bit floats with stored scales, strategy tensor or attn_head',
  )
}

/** The scales of a layer's attention, whatever the architecture calls that module. */
async function storedScales({ reader, model }: OpenModel, layer: number, suffix: string, args: QuantizationArgs): Promise<Float32Array> {
  const prefix = `${model.layerName(layer)}.`
  const name = [...reader.tensors.keys()].find((tensor) => tensor.startsWith(prefix) && tensor.endsWith(`.${suffix}`))
  if (name === undefined)
    throw unusable(`layer ${layer} has no tensor ${prefix}*.${suffix}`, 'one for the kv_cache_scheme of its config.json')
  const { shape, file } = reader.info(name)
  const scales = await reader.readFloats(name)
  const broken = scales.find((scale) => !(scale > 0 && Number.isFinite(scale)))
  if (broken !== undefined) throw unusable(`${name} is ${broken}`, 'positive numbers', { file, tensor: name })
  if (args.strategy === 'tensor' && elementCount(shape) !== 1) throw unusable(`${name} has shape [${shape}]`, '[1]', { file, tensor: name })
  return scales
}

function unusable(found: string, expected: string, at: { file?: string; tensor?: string } = { file: 'config.json' }): CheckpointError {
  return new CheckpointError(`Cannot evaluate the checkpoint: ${found}, expected ${expected}.`, at)
}

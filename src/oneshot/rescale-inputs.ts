import * as tf from '@tensorflow/tfjs-core'
import type { StageSpec } from '../models/architecture.ts'
import type { FloatDType } from '../numerics/dtype.ts'
import { roundToDtype } from '../numerics/float-dtype.ts'
import { RunError } from '../util/errors.ts'
import type { LayerInHand, LinearInHand } from './layer-in-hand.ts'
import type { Plan } from './plan.ts'
import type { Streams } from './streams.ts'

/**
 * `Stage.rescaleInputs`: the source of the stage's inputs takes up the division, the columns of its linears the multiplication, and all
 * batches go on with divided inputs. The weights of a norm are rounded to their stored type first and the divisors follow from that, so
 * that nothing is lost; the scales of a linear that is compressed already are rounded one by one, which costs less than 2^-9 of each.
 * Errors: RunError naming stage and channel for divisors that are not positive numbers.
 */
export async function rescaleInputs(
  plan: Plan,
  layer: LayerInHand,
  spec: StageSpec,
  stage: readonly LinearInHand[],
  streams: Streams,
  wanted: Float32Array,
): Promise<Float32Array> {
  const { source } = spec
  const columns = stage[0].linear.columns
  if (!source || wanted.length !== columns)
    throw new RangeError(
      `Cannot rescale ${layer.name} · ${spec.name}: found ${wanted.length} divisors, expected ${source ? columns : 'none'}`,
    )
  const broken = wanted.findIndex((divisor) => !(divisor > 0 && divisor < Number.POSITIVE_INFINITY))
  if (broken >= 0) {
    throw new RunError(
      `Cannot rescale ${layer.name} · ${spec.name}: the factor of input channel ${broken} is ${wanted[broken]}, expected a positive number.`,
    )
  }
  const name = `${layer.name}.${source.name}`
  const divisors =
    source.kind === 'norm' ? await divideNorm(plan, layer, name, source.offset, wanted) : divideLinear(layer, name, wanted, source.rows)
  for (const { planned, linear } of stage) {
    multiplyColumns(linear.weight, divisors)
    layer.rescaled.add(`${linear.name}.weight`)
    if (planned.scheme) continue
    roundToDtype(linear.weight, planned.dtype)
    layer.edited.set(`${linear.name}.weight`, linear.weight)
  }
  await streams.rescale(divisors)
  return divisors
}

/** Divides a norm's weight (and bias), rounded to the stored type; gives what it was really divided by. */
async function divideNorm(plan: Plan, layer: LayerInHand, name: string, offset: number, wanted: Float32Array): Promise<Float32Array> {
  const before = await parameter(layer, `${name}.weight`)
  const after = before.map((weight, i) => (weight + offset) / wanted[i] - offset)
  roundToDtype(after, storedType(plan, `${name}.weight`))
  const divisors = before.map((weight, i) => {
    const divisor = (weight + offset) / (after[i] + offset)
    return divisor > 0 && divisor < Number.POSITIVE_INFINITY ? divisor : 1
  })
  // Where the type has no room for the quotient, or the channel is off, it stays as it was.
  for (const [i, divisor] of divisors.entries()) if (divisor === 1) after[i] = before[i]
  replaceParameter(layer, `${name}.weight`, after)
  if (layer.parameters.has(`${name}.bias`)) {
    const bias = (await parameter(layer, `${name}.bias`)).map((value, i) => value / divisors[i])
    roundToDtype(bias, storedType(plan, `${name}.bias`))
    replaceParameter(layer, `${name}.bias`, bias)
  }
  return divisors
}

/** Divides rows of a linear, all or those given, one a divisor: the scales of its codes where it is compressed. */
function divideLinear(layer: LayerInHand, name: string, wanted: Float32Array, rows?: readonly number[]): Float32Array {
  const source = layer.linears.find(({ linear }) => linear.name === name)
  if (!source) throw new RangeError(`Cannot rescale the outputs of ${name}: it is not yet known, expected a linear of an earlier stage`)
  const { linear, planned } = source
  const divisors = wanted.slice()
  const divideRows = (values: Float32Array, dtype = planned.dtype): Float32Array => {
    const width = values.length / linear.rows
    const divided = values.slice()
    for (const [i, divisor] of divisors.entries()) {
      const begin = (rows?.[i] ?? i) * width
      const own = values.subarray(begin, begin + width).map((value) => value / divisor)
      roundToDtype(own, dtype)
      // A row that the stored type has no room for stays as it was.
      if (own.every((value, at) => Number.isFinite(value) && (value !== 0 || values[begin + at] === 0))) divided.set(own, begin)
      else divisors[i] = 1
    }
    return divided
  }
  layer.rescaled.add(`${name}.weight`)
  if (linear.quantized) linear.quantized.scale = divideRows(linear.quantized.scale)
  else layer.edited.set(`${name}.weight`, divideRows(layer.edited.get(`${name}.weight`) ?? linear.weight))
  linear.bias?.set(divideRows(linear.bias, linear.biasDtype))
  return divisors
}

function multiplyColumns(weight: Float32Array, factors: Float32Array): void {
  const columns = factors.length
  for (let row = 0; row < weight.length; row += columns) for (let j = 0; j < columns; j++) weight[row + j] *= factors[j]
}

async function parameter({ parameters }: LayerInHand, name: string): Promise<Float32Array> {
  const tensor = parameters.get(name)
  if (!tensor) throw new RangeError(`Cannot rescale ${name}: it was not loaded, expected every tensor of parameters()`)
  return Float32Array.from(await tensor.data<'float32'>())
}

function replaceParameter({ parameters, edited, rescaled }: LayerInHand, name: string, values: Float32Array): void {
  parameters.get(name)?.dispose()
  parameters.set(name, tf.tensor1d(values))
  edited.set(name, values)
  rescaled.add(name)
}

function storedType({ source: { reader } }: Plan, name: string): FloatDType {
  const { dtype } = reader.info(name)
  return dtype === 'F32' || dtype === 'F16' ? dtype : 'BF16'
}

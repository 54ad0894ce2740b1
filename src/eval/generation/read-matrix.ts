import { groupFits, type MatrixInput } from '../../kernels/matrices.ts'
import type { LinearSpec } from '../../models/architecture.ts'
import { type OpenModel, readSoundCodes, readWeight, storedName } from '../../models/open-model.ts'
import { loadBias } from '../../models/weights.ts'
import { packFourBit } from '../../numerics/bitsandbytes-codes.ts'
import { firstNonFinite } from '../../numerics/finite.ts'
import { packRows } from '../../numerics/int-pack.ts'
import { bytesOf } from '../../numerics/view.ts'
import { dequantize } from '../../schemes/quantize.ts'
import { rowScales } from '../../schemes/row-scales.ts'
import { CheckpointError } from '../../util/errors.ts'

/**
 * A linear as it is held in memory: integers as codes, of four bits where that is enough; NF4 and FP4 as they are stored, unless blocks run over the ends of
 * rows that 32 does not divide; bfloat16 as it is; all else as float32.
 * Errors: CheckpointError as `readWeight`.
 */
export async function readMatrix(source: OpenModel, spec: LinearSpec): Promise<MatrixInput> {
  const { rows, columns } = spec
  const bias = await loadBias(source, spec)
  const floats = (data: Uint8Array, format: 'f32' | 'bf16'): MatrixInput => ({
    ...{ rows, columns, bias, format, data },
    ...{ groupSize: columns, scale: null, zeroPoint: null },
  })
  const stored = source.compressed.get(spec.name)
  if (stored?.scheme.weights) {
    const quantized = await readSoundCodes(source.reader, stored, stored.scheme.weights, spec)
    const { args, codes } = quantized
    const { groupSize, scale, zeroPoint } = rowScales(args, rows, columns, quantized)
    if ((args.type === 'nf4' || args.type === 'fp4') && groupFits(groupSize, columns) && columns % 2 === 0)
      return { rows, columns, bias, groupSize, scale, zeroPoint, data: packFourBit(bytesOf(codes), args.type), format: args.type }
    if (args.type !== 'int' || !(codes instanceof Int8Array) || !groupFits(groupSize, columns))
      return floats(bytesOf(dequantize(quantized)), 'f32')
    const isNarrow = args.num_bits <= 4
    const data = bytesOf(isNarrow ? packRows(codes, rows, columns, 4) : codes)
    return { rows, columns, bias, groupSize, scale, zeroPoint, data, format: isNarrow ? 'int4' : 'int8' }
  }
  const tensor = storedName(source.model, spec.name)
  if (spec.transposed || source.reader.info(tensor).dtype !== 'BF16') return floats(bytesOf(await readWeight(source, spec)), 'f32')
  const bytes = await source.reader.read(tensor)
  const broken = firstNonFinite(bytes, 'BF16')
  if (broken >= 0)
    throw new CheckpointError(`Cannot use ${tensor}: found NaN or infinity at element ${broken}, expected finite weights`, { tensor })
  return floats(bytes, 'bf16')
}

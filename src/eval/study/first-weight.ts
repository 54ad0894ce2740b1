import { absmaxCode, absmaxMultiplier } from '../../math/absmax.ts'
import type { Range } from '../../math/values.ts'
import { zeropointCode, zeropointGrid } from '../../math/zero-point.ts'
import type { OpenModel } from '../../models/open-model.ts'
import { DTYPE_BYTES } from '../../numerics/dtype.ts'
import { decodeFloats } from '../../numerics/float-dtype.ts'
import type { StudiedWeight } from '../../report/study.ts'
import { floatDtypeOf } from '../tensor-ranges.ts'

/** Values of a weight that are shown. */
const FIRST = 8

/** The first weight of the first layer, that of attention's queries: its first values, and what each quantizer makes of them. */
export async function firstWeight({ model, reader }: OpenModel, ranges: ReadonlyMap<string, Range>): Promise<StudiedWeight> {
  const [{ linears }] = model.stages(0)
  const { file, dtype, shape, name, begin, end } = reader.info(`${model.layerName(0)}.${linears[0]}.weight`)
  const type = floatDtypeOf({ dtype })
  const bytes = await reader.readRange(name, 0, Math.min(end - begin, FIRST * DTYPE_BYTES[type]))
  const values = [...decodeFloats(bytes, type)]
  const range = ranges.get(name) ?? { min: 0, max: 0 }
  const multiplier = absmaxMultiplier(range)
  const grid = zeropointGrid(range)
  return {
    ...{ name, file, shape, dtype, values },
    absmax: { multiplier, codes: values.map((value) => absmaxCode(value, multiplier)) },
    zeroPoint: { ...grid, codes: values.map((value) => zeropointCode(value, grid)) },
  }
}

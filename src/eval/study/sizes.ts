import { allLinears, type OpenModel } from '../../models/open-model.ts'
import { elementCount } from '../../numerics/dtype.ts'
import type { StudiedSize } from '../../report/study.ts'
import { parameterNames } from './quantized-view.ts'

/** Bytes of a scale, or of a zero point, in float32. */
const SCALE = 4
const HALF = 2

/**
 * What the parameters of a model take: as they are stored; as codes of one byte with a scale for each tensor, and with a zero point too; and
 * by LLM.int8(): codes and a float32 scale for each row of the linears in layers, everything else in 16 bits, as bitsandbytes 0.50 saves it.
 */
export function studiedSizes(source: OpenModel): StudiedSize[] {
  const infos = parameterNames(source).map((name) => source.reader.info(name))
  const count = sum(infos, ({ shape }) => elementCount(shape))
  const stored = sum(infos, ({ begin, end }) => end - begin)
  const { coded, rows } = linearsOf(source)
  const size = (name: StudiedSize['name'], codes: number, scales: number): StudiedSize => {
    const bytes = codes + scales
    return { name, bytes, scales, ratio: stored / Math.max(1, bytes), reduction: stored === 0 ? 0 : 1 - bytes / stored }
  }
  return [
    size('original', stored, 0),
    size('absmax', count, SCALE * infos.length),
    size('zero-point', count, 2 * SCALE * infos.length),
    size('LLM.int8()', coded + HALF * (count - coded), SCALE * rows),
  ]
}

/** Weights in the linears of the layers, and the rows that they have: an output each. */
function linearsOf({ model }: OpenModel): { coded: number; rows: number } {
  const linears = allLinears(model).filter(({ name }) => name !== model.head().name)
  return { coded: sum(linears, (linear) => linear.rows * linear.columns), rows: sum(linears, (linear) => linear.rows) }
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}

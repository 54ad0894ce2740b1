import { allLinears, type OpenModel } from '../models/open-model.ts'
import { servedModel } from '../servers/served-model.ts'
import type { ServedLinear, ServedModel } from '../servers/server.ts'

const FLOATS = ['F32', 'F16', 'BF16']

/** A checkpoint as servers see it, with what only its tensors tell: signs of scales, second-level scales. */
export async function servedCheckpoint(source: OpenModel): Promise<ServedModel> {
  const linears: ServedLinear[] = []
  for (const { name, rows, columns } of allLinears(source.model)) {
    const stored = source.compressed.get(name)
    const scheme = stored ? { ...stored.scheme, format: stored.layout.format } : null
    linears.push({ name, rows, columns, scheme, ...(stored && (await scaleFacts(source, `${name}.${stored.layout.scales}`, name))) })
  }
  return servedModel(source.config, linears, source.model.head().name)
}

async function scaleFacts(
  { reader }: OpenModel,
  scale: string,
  linear: string,
): Promise<Pick<ServedLinear, 'negativeScales' | 'globalScale'>> {
  const second = `${linear}.weight_global_scale`
  const signed = reader.has(scale) && FLOATS.includes(reader.info(scale).dtype)
  const [globalScale] = reader.has(second) ? await reader.readFloats(second) : []
  return {
    ...(signed && { negativeScales: (await reader.readFloats(scale)).some((value) => value < 0) }),
    ...(globalScale !== undefined && { globalScale }),
  }
}

import { CheckpointError } from '../util/errors.ts'
import { loadFolder } from '../util/load-folder.ts'
import type { Layout } from './layouts/layout.ts'
import type { QuantizationScheme } from './quantization-config.ts'

const FOLDER = new URL('./layouts/', import.meta.url)

/** The on-disk formats there are, by name: each file of the folder that exports a `layout`. */
export async function loadLayouts(): Promise<ReadonlyMap<string, Layout>> {
  const layouts = new Map<string, Layout>()
  for (const module of (await loadFolder(FOLDER)).values()) {
    const layout = module.layout as Layout | undefined
    if (layout) layouts.set(layout.format, layout)
  }
  return layouts
}

/** The layout of a format, to write or to read weights. Errors: CheckpointError for a name that is not known, naming those that are. */
export async function layoutNamed(format: string): Promise<Layout> {
  const layouts = await loadLayouts()
  const layout = layouts.get(format)
  if (layout) return layout
  throw new CheckpointError(`Cannot use weights of format ${JSON.stringify(format)}: expected ${namesOf(layouts.values())}.`)
}

/**
 * The layout of a scheme's weights, written or read: the one `scheme.format` names, else the one that applies. Errors: CheckpointError for
 * a format that is not known, or a scheme that none stores.
 */
export async function layoutFor(scheme: QuantizationScheme): Promise<Layout> {
  if (scheme.format !== null) return layoutNamed(scheme.format)
  const layouts = [...(await loadLayouts()).values()]
  const layout = layouts.find((candidate) => candidate.applies(scheme))
  if (layout) return layout
  const { weights } = scheme
  const found = weights ? `${weights.type} with ${weights.num_bits} bits, strategy ${weights.strategy}` : 'a scheme without weights'
  throw new CheckpointError(`Cannot use weights of this scheme: found ${found}, expected what one of ${namesOf(layouts)} holds.`)
}

/** Those that recipes and compressed-tensors name. */
function namesOf(layouts: Iterable<Layout>): string {
  return [...layouts].flatMap(({ format, method }) => (method === 'compressed-tensors' ? [format] : [])).join(', ')
}

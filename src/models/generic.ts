import type { TensorReader } from '../checkpoint/tensor-reader.ts'
import { isStoredFloat } from '../numerics/float-dtype.ts'
import type { LinearSpec, Model, ParameterSpec, StageSpec } from './architecture.ts'
import { type StoredMatrix, storedMatrices } from './stored-matrices.ts'
import { inTower } from './towers.ts'

const EMBEDDING = /(^|\.)(embed_tokens|embed_in|wte|word_embeddings|tok_embeddings|shared)$/
const HEAD = /(^|\.)(lm_head|embed_out|output)$/
/** The outermost list of blocks in a name: `model.layers.3.` */
const BLOCK = /^((?:.*?\.)?(?:layers|h|blocks|block|layer)\.\d+)\./

/** Linears that servers fuse, by the last part of their names. */
const FUSED = [
  ['q_proj', 'k_proj', 'v_proj'],
  ['gate_proj', 'up_proj'],
  ['w1', 'w3'],
] as const

/**
 * A checkpoint without an architecture, from tensor names and shapes alone: enough to round weights, not to compute with them. Linears are
 * matrices below numbered blocks; what looks like an embedding, norm, router, convolution or part of a tower that sees or hears is left
 * alone, and so is what stands outside the blocks. Null where no linear is found. `unknown`: why nothing can be computed.
 */
export async function genericModel(modelType: string, reader: TensorReader, unknown: string): Promise<Model | null> {
  const matrices = await storedMatrices(reader)
  const blocks = new Map<string, LinearSpec[]>()
  for (const [name, { rows, columns, bias, isLinear }] of matrices) {
    const block = blockOf(name)
    if (block !== null && isLinear) blocks.set(block, [...(blocks.get(block) ?? []), { name, rows, columns, bias }])
  }
  const outside = [...matrices.keys()].filter((name) => blockOf(name) === null && !inTower(name))
  const embedding = outside.find((name) => EMBEDDING.test(name))
  const stored = outside.find((name) => HEAD.test(name))
  const size = matrices.get(stored ?? embedding ?? '')
  if (blocks.size === 0 || !size) return null
  const head: LinearSpec = { name: stored ?? 'lm_head', rows: size.rows, columns: size.columns, bias: stored !== undefined && size.bias }
  const layers = [...blocks.keys()].sort(byNumber).map((name) => ({ name, ...staged(name, blocks.get(name) ?? []) }))
  const linears = new Set([head.name, ...[...blocks.values()].flat().map(({ name }) => name)])
  const others = otherTensors(reader, matrices, linears)
  const refuse = () => {
    throw new RangeError(`Cannot compute with the model: ${unknown}`)
  }
  return {
    modelType,
    unknown,
    layers: layers.length,
    hidden: head.columns,
    vocab: head.rows,
    maxPositions: 2048,
    attention: null,
    tied: stored === undefined,
    embedding: embedding ?? head.name,
    embeddingWidth: head.columns,
    headStage: { name: 'head', linears: [head.name], source: null, addsToResidual: false },
    stages: (layer) => layers[layer].stages,
    layerName: (layer) => layers[layer].name,
    linears: (layer) => layers[layer].linears,
    parameters: (layer) => others.filter(({ name }) => name.startsWith(`${layers[layer].name}.`)),
    outerParameters: () => others.filter(({ name }) => !blocks.has(blockOf(name) ?? '')),
    embedParameters: refuse,
    headParameters: refuse,
    head: () => head,
    shared: refuse,
    embed: refuse,
    walk: refuse,
    walkHead: refuse,
  }
}

function blockOf(name: string): string | null {
  return inTower(name) ? null : (BLOCK.exec(name)?.[1] ?? null)
}

/** Float tensors that belong to no linear. A matrix that is none of ours may be a linear to a loader, a router to another. */
function otherTensors(
  { tensors }: TensorReader,
  matrices: ReadonlyMap<string, StoredMatrix>,
  linears: ReadonlySet<string>,
): ParameterSpec[] {
  return [...tensors.values()].flatMap(({ name, shape, dtype }) => {
    const module = name.slice(0, name.lastIndexOf('.'))
    if (linears.has(module) || !isStoredFloat(dtype)) return []
    const className = EMBEDDING.test(module) ? 'Embedding' : matrices.has(module) ? 'Router' : 'RMSNorm'
    return [{ name, shape, className }]
  })
}

/** Stages of a block: linears that are fused together, each other one by itself. */
function staged(block: string, linears: readonly LinearSpec[]): { stages: StageSpec[]; linears: LinearSpec[] } {
  const below = (name: string) => name.slice(block.length + 1)
  const groups = new Map<string, LinearSpec[]>()
  for (const spec of linears) {
    const name = below(spec.name)
    const leaf = name.slice(name.lastIndexOf('.') + 1)
    const fused = FUSED.find((list) => list.some((part) => part === leaf))
    const key = fused ? `${name.slice(0, name.length - leaf.length)}${fused.join(', ')}` : name
    groups.set(key, [...(groups.get(key) ?? []), spec])
  }
  const stages = [...groups].map(([name, own]) => ({
    name,
    linears: own.map((spec) => below(spec.name)),
    source: null,
    addsToResidual: false,
  }))
  return { stages, linears: [...groups.values()].flat() }
}

/** `layers.2` before `layers.10`. */
function byNumber(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}

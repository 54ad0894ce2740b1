import { moduleOfTensor } from '../checkpoint/module-of.ts'
import { tensorBytes } from '../checkpoint/shards.ts'
import type { TensorInfo } from '../checkpoint/tensor.ts'
import { modules, type OpenModel } from '../models/open-model.ts'
import type { KindSize } from '../report/record.ts'
import type { StagedLinear } from './staged-linear.ts'

/** Bytes of the tensors before and after, by what they belong to; in the order of the model. Their sums are those of all tensors. */
export function sizeByKind({ model, reader }: OpenModel, linears: readonly StagedLinear[], after: readonly TensorInfo[]): KindSize[] {
  const stages = new Map(linears.map(({ spec, stage }) => [spec.name, stage.name]))
  const embeddings = new Set(modules(model).flatMap(({ name, className }) => (className === 'Embedding' ? [name] : [])))
  const kindOf = (name: string): string => {
    const module = moduleOfTensor(name)
    if (embeddings.has(module)) return 'Embeddings'
    const stage = stages.get(module)
    if (stage === 'head') return 'Head'
    if (/(^|\.)experts(\.|$)/.test(name)) return 'Experts'
    if (stage?.startsWith('attention')) return 'Attention'
    if (stage) return stage.startsWith('mlp') ? 'MLP' : 'Other linears'
    return 'Norms and others'
  }
  const kinds = new Map<string, KindSize>(KINDS.map((kind) => [kind, { kind, before: 0, after: 0 }]))
  const add = (tensors: Iterable<TensorInfo>, side: 'before' | 'after') => {
    for (const tensor of tensors) {
      const size = kinds.get(kindOf(tensor.name))
      if (size) size[side] += tensorBytes(tensor)
    }
  }
  add(reader.tensors.values(), 'before')
  add(after, 'after')
  return [...kinds.values()].filter((size) => size.before > 0 || size.after > 0)
}

const KINDS = ['Embeddings', 'Attention', 'MLP', 'Experts', 'Other linears', 'Norms and others', 'Head']

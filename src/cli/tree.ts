import type { InspectedModule } from '../eval/inspect.ts'
import { runs } from '../util/layer-names.ts'
import { formatBytes } from './format.ts'

interface Node {
  name: string
  module: InspectedModule | null
  children: Node[]
  /** Siblings of equal content that this one stands for, itself included. */
  times: number
}

/** One line of the tree: its branches and name, and the module on it, if any. */
export interface TreeLine {
  label: string
  module: InspectedModule | null
}

/** Modules as the lines of a tree. Numbered siblings with the same content are put together: `layers.0-3  (4 x 234.5 kB)`. */
export function moduleTree(modules: readonly InspectedModule[]): TreeLine[] {
  const root: Node = { name: '', module: null, children: [], times: 1 }
  for (const module of modules) insert(root, module)
  return childrenOf(root).flatMap((child) => lines(child, '', ''))
}

function insert(root: Node, module: InspectedModule): void {
  let node = root
  for (const part of module.name.split('.')) {
    let child = node.children.find(({ name }) => name === part)
    if (!child) {
      child = { name: part, module: null, children: [], times: 1 }
      node.children.push(child)
    }
    node = child
  }
  node.module = module
}

/** Equal for nodes that differ in their names' numbers only. */
function contentOf({ module, children }: Node): string {
  const own = module ? `${module.kind} ${module.shape} ${module.bytes}` : ''
  return `${own}(${children.map((child) => `${child.name}:${contentOf(child)}`).join(',')})`
}

function childrenOf({ children }: Node): Node[] {
  const groups = new Map<string, Node[]>()
  for (const child of children) {
    const key = /^\d+$/.test(child.name) ? `# ${contentOf(child)}` : child.name
    groups.set(key, [...(groups.get(key) ?? []), child])
  }
  return [...groups.values()].map((group) => {
    const [first] = group
    return group.length === 1 ? first : { ...first, name: runs(group.map(({ name }) => Number(name))), times: group.length }
  })
}

/** A chain of only children takes one line: `layers.0-3`. */
function joinChain(node: Node): Node {
  const children = childrenOf(node)
  if (node.module || node.times > 1 || children.length !== 1) return node
  const child = joinChain(children[0])
  return { ...child, name: `${node.name}.${child.name}` }
}

function lines(node: Node, lead: string, below: string): TreeLine[] {
  const joined = joinChain(node)
  const times = joined.times > 1 ? `  (${joined.times} x ${formatBytes(bytesOf(joined))})` : ''
  const children = childrenOf(joined)
  return [
    { label: `${lead}${joined.name}${times}`, module: joined.module },
    ...children.flatMap((child, i) => {
      const last = i === children.length - 1
      return lines(child, `${below}${last ? '└─ ' : '├─ '}`, `${below}${last ? '   ' : '│  '}`)
    }),
  ]
}

function bytesOf({ module, children }: Node): number {
  return children.reduce((sum, child) => sum + bytesOf(child), module?.bytes ?? 0)
}

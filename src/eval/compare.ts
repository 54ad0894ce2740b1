import { moduleOfTensor } from '../checkpoint/module-of.ts'
import { tensorBytes } from '../checkpoint/shards.ts'
import { modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import { allLinears, type OpenModel, openModel, readWeight, storedName } from '../models/open-model.ts'
import { isStoredFloat } from '../numerics/float-dtype.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import { checkCompare } from './options.ts'
import { type SizeReport, sizeReport } from './size-report.ts'

export interface CompareOptions extends HubOptions {
  /** Called with what is compared next. */
  onTensor?: (name: string, index: number, of: number) => void
}

/** A tensor of both checkpoints, compared by the values that it stands for. */
export interface ComparedTensor {
  /** The linear, or the tensor. */
  name: string
  /** How each has it: `BF16`, `W4A16 g128`. */
  a: string
  b: string
  /** ‖B - A‖² / ‖A‖² */
  error: number
  largest: number
  /** Cosine of the angle between them. */
  cosine: number
  /** Signal to noise in decibels; Infinity where they are the same. */
  snr: number
  same: boolean
}

export interface Comparison {
  a: string
  b: string
  tensors: ComparedTensor[]
  /** Names that one has and the other has not, or has in another shape, with what is wrong. */
  differing: { name: string; problem: string }[]
  /** Bytes of all tensors, and A against B. */
  bytes: { a: number; b: number }
  size: SizeReport
}

/**
 * Compares two checkpoints tensor by tensor, compressed or not: linears by what their codes stand for, other floats as they are. One
 * tensor is held at a time. Errors: CheckpointError where one cannot be opened.
 */
export async function compare(a: string, b: string, options: CompareOptions = {}): Promise<Comparison> {
  checkCompare(a, b, options)
  const { signal, onTensor = () => {} } = options
  const left = await openModel((await modelFolder(a, options)).path)
  try {
    const right = await openModel((await modelFolder(b, options)).path)
    try {
      const [own, other] = [partsOf(left), partsOf(right)]
      const tensors: ComparedTensor[] = []
      const differing: Comparison['differing'] = []
      let index = 0
      for (const [name, part] of own) {
        signal?.throwIfAborted()
        onTensor(name, index++, own.size)
        const twin = other.get(name)
        if (!twin) differing.push({ name, problem: 'only the first has it' })
        else if (twin.shape.join() !== part.shape.join()) differing.push({ name, problem: `shapes [${part.shape}] and [${twin.shape}]` })
        else if (part.read && twin.read) {
          tensors.push({ name, a: part.kind, b: twin.kind, ...difference(await part.read(), await twin.read()) })
        }
      }
      for (const name of other.keys()) if (!own.has(name)) differing.push({ name, problem: 'only the second has it' })
      const bytes = { a: bytesOf(left), b: bytesOf(right) }
      return { a, b, tensors, differing, bytes, size: sizeReport(bytes.a, bytes.b) }
    } finally {
      await right.close()
    }
  } finally {
    await left.close()
  }
}

/** Something that two checkpoints may share. */
interface Part {
  readonly kind: string
  readonly shape: readonly number[]
  /** Null for what is no float. */
  readonly read: (() => Promise<Float32Array>) | null
}

/** Linears by name, then all tensors that belong to none. */
function partsOf(source: OpenModel): Map<string, Part> {
  const { model, reader, compressed } = source
  const parts = new Map<string, Part>()
  const linears = allLinears(model)
  for (const spec of linears) {
    const { name, rows, columns } = spec
    // A tied output projection is compared as the embedding that it is.
    if (name === model.head().name && model.tied && !compressed.has(name)) continue
    const stored = compressed.get(name)
    const kind = stored ? schemeLabel(stored.scheme) : reader.info(storedName(model, name)).dtype
    parts.set(name, { kind, shape: [rows, columns], read: () => readWeight(source, spec) })
  }
  const names = new Set(linears.map(({ name }) => name))
  for (const { name, dtype, shape } of reader.tensors.values()) {
    const module = moduleOfTensor(name)
    if (names.has(module) && name !== `${module}.bias`) continue
    parts.set(name, { kind: dtype, shape, read: isStoredFloat(dtype) ? () => reader.readFloats(name) : null })
  }
  return parts
}

function difference(a: Float32Array, b: Float32Array): Pick<ComparedTensor, 'error' | 'largest' | 'cosine' | 'snr' | 'same'> {
  let [lost, before, after, product, largest] = [0, 0, 0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    const d = b[i] - a[i]
    lost += d * d
    before += a[i] * a[i]
    after += b[i] * b[i]
    product += a[i] * b[i]
    if (Math.abs(d) > largest) largest = Math.abs(d)
  }
  const same = lost === 0
  return {
    error: same ? 0 : lost / before,
    largest,
    cosine: same ? 1 : product / Math.sqrt(before * after),
    snr: same ? Infinity : 10 * Math.log10(before / lost),
    same,
  }
}

function bytesOf({ reader }: OpenModel): number {
  return [...reader.tensors.values()].reduce((sum, tensor) => sum + tensorBytes(tensor), 0)
}

import { parseQuantizationConfig, readConfig } from '../checkpoint/config.ts'
import { type CheckpointReader, openCheckpoint } from '../checkpoint/reader.ts'
import type { TensorInfo } from '../checkpoint/tensor.ts'
import { DTYPE_BYTES, elementCount } from '../numerics/dtype.ts'
import { matchTargets } from '../schemes/match.ts'
import { schemeLabel } from '../schemes/scheme.ts'

/** One module of a checkpoint: the tensors that share a name up to the last dot. */
export interface InspectedModule {
  name: string
  /** `W4A16 g128` for a compressed linear, else the stored types: `BF16`. */
  kind: string
  /** Logical shape of the weight. */
  shape: number[]
  bytes: number
  /** Bits stored per weight, scales and zero points included. */
  bitsPerWeight: number
}

export interface Inspection {
  path: string
  modelType: string | null
  /** The `format` of quantization_config, or null. */
  format: string | null
  files: { name: string; bytes: number }[]
  tensors: number
  bytes: number
  /** Tensors and bytes by stored type. */
  dtypes: Record<string, { tensors: number; bytes: number }>
  modules: InspectedModule[]
}

/**
 * Looks into any safetensors checkpoint by its headers and config.json alone; the architecture need not be known.
 * Errors: CheckpointError where the folder holds none.
 */
export async function inspect(checkpoint: string): Promise<Inspection> {
  const config = await readConfig(checkpoint)
  const reader = await openCheckpoint(checkpoint)
  try {
    const tensors = [...reader.tensors.values()]
    const byModule = groupByModule(tensors)
    const labels = schemeLabels(config, byModule)
    const modules: InspectedModule[] = []
    for (const [name, own] of byModule) modules.push(await inspectModule(reader, name, own, labels.get(name)))
    const dtypes: Inspection['dtypes'] = {}
    const files = new Map<string, number>()
    for (const tensor of tensors) {
      const entry = dtypes[tensor.dtype] ?? { tensors: 0, bytes: 0 }
      dtypes[tensor.dtype] = { tensors: entry.tensors + 1, bytes: entry.bytes + bytesOf(tensor) }
      files.set(tensor.file, (files.get(tensor.file) ?? 0) + bytesOf(tensor))
    }
    return {
      path: checkpoint,
      modelType: typeof config.model_type === 'string' ? config.model_type : null,
      format: parseQuantizationConfig(config)?.format ?? null,
      files: [...files].map(([name, bytes]) => ({ name, bytes })),
      tensors: tensors.length,
      bytes: tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0),
      dtypes,
      modules,
    }
  } finally {
    await reader.close()
  }
}

function groupByModule<T extends TensorInfo>(tensors: readonly T[]): Map<string, T[]> {
  const modules = new Map<string, T[]>()
  for (const tensor of tensors) {
    const module = tensor.name.replace(/\.[^.]*$/, '')
    modules.set(module, [...(modules.get(module) ?? []), tensor])
  }
  return modules
}

/** Labels of the compressed modules, from config.json's groups: a module is compressed where scales are stored beside it. */
function schemeLabels(config: Readonly<Record<string, unknown>>, modules: ReadonlyMap<string, readonly TensorInfo[]>): Map<string, string> {
  const quantization = parseQuantizationConfig(config)
  if (!quantization) return new Map()
  const linears = [...modules].filter(([name, tensors]) => tensors.some((tensor) => tensor.name === `${name}.weight_scale`))
  const groups = Object.values(quantization.config_groups)
  const { assigned } = matchTargets(
    linears.map(([name]) => ({ name, className: 'Linear' })),
    groups,
    quantization.ignore,
  )
  return new Map([...assigned].map(([name, index]) => [name, schemeLabel(groups[index])]))
}

async function inspectModule(
  reader: CheckpointReader,
  name: string,
  tensors: readonly TensorInfo[],
  label: string | undefined,
): Promise<InspectedModule> {
  const bytes = tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0)
  const shape = await logicalShape(reader, name, tensors)
  const kind = label ?? [...new Set(tensors.map(({ dtype }) => dtype))].join(' + ')
  return { name, kind, shape, bytes, bitsPerWeight: (8 * bytes) / Math.max(1, elementCount(shape)) }
}

/** The shape that a packed weight stands for is stored beside it as `weight_shape`. */
async function logicalShape(reader: CheckpointReader, name: string, tensors: readonly TensorInfo[]): Promise<number[]> {
  if (tensors.some((tensor) => tensor.name === `${name}.weight_shape` && tensor.dtype === 'I64')) {
    const bytes = await reader.read(`${name}.weight_shape`)
    return [...new BigInt64Array(bytes.slice().buffer)].map(Number)
  }
  const weight = tensors.find((tensor) => tensor.name === `${name}.weight`) ?? tensors[0]
  return [...weight.shape]
}

function bytesOf({ dtype, shape }: TensorInfo): number {
  return elementCount(shape) * DTYPE_BYTES[dtype]
}

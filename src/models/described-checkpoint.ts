import { basename, resolve } from 'node:path'
import { readConfig } from '../checkpoint/config.ts'
import type { StoredTensorInfo, TensorReader } from '../checkpoint/tensor-reader.ts'
import { type DType, elementCount } from '../numerics/dtype.ts'
import { RunError } from '../util/errors.ts'
import type { Model } from './architecture.ts'
import { type Config, section } from './config-values.ts'
import { allLinears, type OpenModel } from './open-model.ts'
import { describedModel } from './read-model.ts'

const TYPES: Readonly<Record<string, DType>> = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' }

/**
 * A checkpoint by its config.json alone: names, types and shapes of all tensors that its architecture has, and no weights. A type that
 * config.json does not say is float32, as in transformers. Errors: CheckpointError as `describedModel`.
 */
export async function describedCheckpoint(path: string): Promise<OpenModel> {
  const { quantization_config: _, ...config } = await readConfig(path)
  const model = await describedModel(config)
  const reader = new DescribedTensors(path, shapesOf(model), storedType(config))
  return { path, name: basename(resolve(path)), config, model, reader, compressed: new Map(), close: async () => {} }
}

function storedType(config: Config): DType {
  const text = section(config, 'text_config') ?? {}
  const said = config.dtype ?? config.torch_dtype ?? text.dtype ?? text.torch_dtype
  return (typeof said === 'string' ? TYPES[said] : undefined) ?? 'F32'
}

function shapesOf(model: Model): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>()
  const layers = Array.from({ length: model.layers }, (_, layer) => model.parameters(layer)).flat()
  for (const { name, shape } of [...model.outerParameters(), ...layers]) shapes.set(name, shape)
  for (const { name, rows, columns, bias, transposed } of allLinears(model)) {
    if (name === model.head().name && model.tied) continue
    shapes.set(`${name}.weight`, transposed ? [columns, rows] : [rows, columns])
    if (bias) shapes.set(`${name}.bias`, [rows])
  }
  return shapes
}

/** Tensors that are described and not there. */
class DescribedTensors implements TensorReader {
  readonly dir: string
  readonly tensors: ReadonlyMap<string, StoredTensorInfo>
  readonly rewritten: ReadonlySet<string> = new Set()
  readonly pieces: ReadonlyMap<string, StoredTensorInfo> = new Map()

  constructor(dir: string, shapes: ReadonlyMap<string, readonly number[]>, dtype: DType) {
    this.dir = dir
    const bytes = dtype === 'F32' ? 4 : 2
    this.tensors = new Map(
      [...shapes].map(([name, shape]) => [
        name,
        { name, dtype, shape: [...shape], begin: 0, end: elementCount(shape) * bytes, file: 'config.json' },
      ]),
    )
  }

  has(name: string): boolean {
    return this.tensors.has(name)
  }

  info(name: string): StoredTensorInfo {
    return this.tensors.get(name) ?? this.#absent(name)
  }

  async read(name: string): Promise<Uint8Array> {
    return this.#absent(name)
  }

  async readRange(name: string): Promise<Uint8Array> {
    return this.#absent(name)
  }

  // biome-ignore lint/correctness/useYield: there is nothing to give.
  async *readChunks(name: string): AsyncGenerator<Uint8Array> {
    this.#absent(name)
  }

  async readFloats(name: string): Promise<Float32Array> {
    return this.#absent(name)
  }

  async requireUnchanged(): Promise<void> {}

  async close(): Promise<void> {}

  #absent(name: string): never {
    throw new RunError(`Cannot read ${name}: only the config.json of ${this.dir} was read, expected its weights.`)
  }
}

import type { BackendValues, DataId, DataType } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { HOST_KERNELS } from './host-kernels.ts'

/** The name that the tensor library knows it by. */
const NAME = 'llmpress-host'

/** An operation that the host has no kernel for. */
export class NotOnHost extends Error {
  override name = 'NotOnHost'
}

interface Stored {
  readonly values: Float32Array
  references: number
}

/**
 * A backend for tensors of a few hundred numbers: plain arrays that stay where they are, and kernels that are prepared once for the shapes
 * they meet. While a recording runs, each prepared kernel is kept: called again in their order they compute the same from what stands in
 * their arrays then, without the tensor library, whose part of an operation on one token is most of it.
 */
export class HostBackend extends tf.KernelBackend {
  readonly #data = new WeakMap<DataId, Stored>()
  #count = 0
  #recording: (() => void)[] | null = null

  /** Kernels that run from now on are put at the end of `steps`; null: no longer. */
  record(steps: (() => void)[] | null): void {
    this.#recording = steps
  }

  /** The array of a tensor: its own, not a copy. */
  valuesOf({ dataId }: { readonly dataId: DataId }): Float32Array {
    return this.#stored(dataId).values
  }

  /** Runs a prepared kernel, and keeps it for the recording. */
  run(work: (() => void) | null): void {
    work?.()
    if (work) this.#recording?.push(work)
  }

  /** Takes an array in as it is. */
  hold(values: Float32Array): DataId {
    const dataId = {}
    this.#data.set(dataId, { values, references: 1 })
    this.#count++
    return dataId
  }

  override write(values: BackendValues, _shape: number[], dtype: DataType): DataId {
    if (dtype !== 'float32') throw new NotOnHost(`tensors of ${dtype}`)
    return this.hold(values instanceof Float32Array ? values : Float32Array.from(values as ArrayLike<number>))
  }

  override async read(dataId: DataId): Promise<BackendValues> {
    return this.readSync(dataId)
  }

  override readSync(dataId: DataId): BackendValues {
    return this.#stored(dataId).values
  }

  override incRef(dataId: DataId): void {
    this.#stored(dataId).references++
  }

  override refCount(dataId: DataId): number {
    return this.#data.get(dataId)?.references ?? 0
  }

  override disposeData(dataId: DataId, force = false): boolean {
    const stored = this.#data.get(dataId)
    if (!stored) return true
    stored.references--
    if (!force && stored.references > 0) return false
    this.#data.delete(dataId)
    this.#count--
    return true
  }

  override numDataIds(): number {
    return this.#count
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: false }
  }

  override floatPrecision(): 32 {
    return 32
  }

  override epsilon(): number {
    return 1e-7
  }

  override dispose(): void {}

  #stored(dataId: DataId): Stored {
    const stored = this.#data.get(dataId)
    if (!stored) throw new RangeError('Cannot read a tensor on the host: it is of another backend, or disposed of')
    return stored
  }
}

/**
 * Does `work` with the host as the tensor library's backend, and gives it back to the one before. Tensors of the two must not meet.
 * Errors: NotOnHost for an operation that the host has not.
 */
export async function onHost<T>(work: (backend: HostBackend) => Promise<T>): Promise<T> {
  const before = tf.getBackend()
  register()
  if (!(await tf.setBackend(NAME))) throw new RangeError('Cannot use the host as a backend')
  try {
    return await work(tf.backend() as HostBackend)
  } finally {
    await tf.setBackend(before)
  }
}

/** Once for a process: the registry is the tensor library's. */
function register(): void {
  if (tf.findBackend(NAME)) return
  const known = new Set(HOST_KERNELS.map(({ kernelName }) => kernelName))
  for (const { kernelName, ...kernel } of HOST_KERNELS) {
    tf.registerKernel({
      kernelName,
      backendName: NAME,
      kernelFunc: ({ inputs, attrs, backend }) => {
        const host = backend as HostBackend
        const list = Object.values(inputs).flat() as tf.TensorInfo[]
        const read = list.map((info) => ({ shape: info.shape, values: host.valuesOf(info) }))
        const { outputs, run } = kernel.prepare(read, (attrs ?? {}) as Record<string, unknown>)
        host.run(run)
        const made = outputs.map(({ shape, values }) => ({ dataId: host.hold(values), shape: [...shape], dtype: 'float32' as const }))
        return kernel.isList ? made : made[0]
      },
    })
  }
  for (const { kernelName } of tf.getKernelsForBackend('wasm') ?? []) {
    if (known.has(kernelName)) continue
    tf.registerKernel({
      kernelName,
      backendName: NAME,
      kernelFunc: () => {
        throw new NotOnHost(kernelName)
      },
    })
  }
  tf.registerBackend(NAME, () => new HostBackend())
}

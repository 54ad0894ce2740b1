import type { Tensor } from '@tensorflow/tfjs-core'
import { toFloat32 } from '../engine/bfloat16.ts'
import { releaseMemory, restoreMemory } from '../engine/tensor-memory.ts'
import type { Shelf } from '../numerics/symmetric-matrix.ts'
import { span } from '../util/span.ts'
import type { ScratchFile, ScratchPlace } from './scratch-file.ts'

/** Where tensors are while nothing is computed with them. They are never changed, only disposed of. */
export interface TensorStore {
  /** Makes the values of tensors available to the engine. */
  load(tensors: readonly Tensor[]): Promise<void>
  /** Nothing is computed with these tensors until `load`. */
  park(tensors: readonly Tensor[]): Promise<void>
  /** The values of a tensor, parked or not. They are not to be changed. */
  values(tensor: Tensor): Promise<Float32Array>
  /** For large arrays that are not needed for a while; null where all is kept in memory. */
  readonly shelf: Shelf | null
}

/** The values of a tensor of float32 or bfloat16. */
async function valuesOf(tensor: Tensor): Promise<Float32Array> {
  const wide = toFloat32(tensor)
  try {
    return await wide.data<'float32'>()
  } finally {
    if (wide !== tensor) wide.dispose()
  }
}

/** Keeps everything in memory. */
export const inMemory: TensorStore = {
  load: async () => {},
  park: async () => {},
  values: valuesOf,
  shelf: null,
}

/** What tensors share, in the file. */
interface Parked {
  readonly place: ScratchPlace
  /** All that were parked: the place is free again when the last is disposed of. */
  readonly owners: Set<Tensor>
  loaded: boolean
}

/**
 * Keeps tensors in a scratch file and their memory free, but for those at hand. As float32 comes back to the bit, results are the same with
 * it and without; what was in bfloat16 comes back in float32, with the same values.
 */
export class ScratchStore implements TensorStore {
  readonly #file: ScratchFile
  /** By data id, which tensors that share their memory have in common. */
  readonly #parked = new Map<Tensor['dataId'], Parked>()

  constructor(file: ScratchFile) {
    this.#file = file
  }

  readonly shelf: Shelf = { put: async (values) => this.#taker(await this.#shelve(values)) }

  #shelve(values: Float32Array): Promise<ScratchPlace> {
    return span('io', 'scratch write', () => this.#file.write(values))
  }

  /** Made where the values are out of sight: a function keeps all that functions beside it refer to. */
  #taker(place: ScratchPlace): () => Promise<Float32Array> {
    return async () => {
      const back = await span('io', 'scratch read', () => this.#file.read(place))
      this.#file.release(place)
      return back
    }
  }

  async load(tensors: readonly Tensor[]): Promise<void> {
    for (const tensor of tensors) {
      const parked = this.#parked.get(tensor.dataId)
      if (!parked || parked.loaded) continue
      restoreMemory(tensor, await span('io', 'scratch read', () => this.#file.read(parked.place)))
      parked.loaded = true
    }
  }

  async park(tensors: readonly Tensor[]): Promise<void> {
    this.#reclaim()
    for (const tensor of tensors) {
      const parked = this.#parked.get(tensor.dataId) ?? (await this.#write(tensor))
      parked.owners.add(tensor)
      if (parked.loaded) releaseMemory(tensor)
      parked.loaded = false
    }
  }

  async values(tensor: Tensor): Promise<Float32Array> {
    const parked = this.#parked.get(tensor.dataId)
    return parked && !parked.loaded ? this.#file.read(parked.place) : valuesOf(tensor)
  }

  async #write(tensor: Tensor): Promise<Parked> {
    const values = await valuesOf(tensor)
    const place = await span('io', 'scratch write', () => this.#file.write(values))
    const parked = { place, owners: new Set([tensor]), loaded: true }
    this.#parked.set(tensor.dataId, parked)
    return parked
  }

  /** Gives back the places of tensors that are no more. */
  #reclaim(): void {
    for (const [dataId, { place, owners }] of this.#parked) {
      for (const tensor of owners) if (tensor.isDisposed) owners.delete(tensor)
      if (owners.size > 0) continue
      this.#file.release(place)
      this.#parked.delete(dataId)
    }
  }
}

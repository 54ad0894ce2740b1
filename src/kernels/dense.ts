import { Arena, sharedMemory } from './arena.ts'
import { CONTROL_BYTES, Lanes } from './lanes.ts'
import { roundUp } from './round-up.ts'
import { panelColumns, panelDepth, tileRows } from './tiles.ts'
import { loadModule } from './wasm.ts'

/** A factor of a product as it lies in memory: a matrix of float32, or some neighbouring columns of one. */
export interface Factor {
  readonly values: Float32Array
  /** From one row of `values` to the next. */
  readonly pitch: number
  /** The first column of `values` that counts. */
  readonly from: number
  /** Whether the factor is the transpose of what lies there. */
  readonly transposed: boolean
}

/** The sides of a product of [rows, depth] and [depth, columns]. */
export interface DenseShape {
  readonly rows: number
  readonly depth: number
  readonly columns: number
}

/** See assembly/transpose.ts. */
type Transpose = (from: number, pitch: number, rows: number, columns: number, to: number, outPitch: number) => void

/** Words of a job: see assembly/dense.ts. */
const JOB = 12
/** Bytes of the first factor that are in the kernels' memory at a time (twice where it is transposed), of the second and of the product. */
const STRIPS = { left: 16 * 2 ** 20, right: 32 * 2 ** 20, out: 16 * 2 ** 20 }
/** Rows of a panel of columns that a lane takes at a time: enough that packing the panel costs little beside, and lanes end together. */
const CHUNK_ROWS = 256

/**
 * Products of float32 matrices in `threads` threads, this one among them, which is busy until a product is done. Each element is the sum of its
 * terms in order, one float32 product and one float32 sum at a time: the same for any number of threads. Close it when done.
 */
export class DenseProducts {
  readonly #memory = sharedMemory()
  readonly #arena = new Arena(this.#memory, 'multiply matrices')
  readonly #lanes: Lanes
  readonly #job: number
  readonly #panels: number
  readonly #strips: typeof STRIPS
  readonly #transpose: Transpose
  #left = { at: 0, bytes: 0 }
  /** Of a transposed first factor, what the left is made of. */
  #turning = { at: 0, bytes: 0 }
  #right = { at: 0, bytes: 0 }
  #out = { at: 0, bytes: 0 }

  private constructor(module: WebAssembly.Module, threads: number, strips: typeof STRIPS) {
    this.#strips = strips
    const control = this.#arena.take(CONTROL_BYTES)
    this.#job = this.#arena.take(JOB * 4)
    this.#panels = this.#arena.take(threads * panelColumns * panelDepth * 4)
    new Int32Array(this.#memory.buffer, this.#job, JOB).fill(0)
    const { exports } = new WebAssembly.Instance(module, { env: { memory: this.#memory } })
    this.#transpose = exports.transpose as Transpose
    this.#lanes = new Lanes(module, this.#memory, 'dense', control, this.#job, threads)
  }

  /** RunError when the module is missing. */
  static async open(threads: number, strips = STRIPS): Promise<DenseProducts> {
    return new DenseProducts(await loadModule(), threads, strips)
  }

  /** Whether a thread died: no product is to be had any more. */
  get isFailed(): boolean {
    return this.#lanes.isFailed
  }

  get threads(): number {
    return this.#lanes.count
  }

  /** a·b into `out` [rows, columns]. Large matrices go by strips, which no result depends on. RunError where memory does not suffice. */
  multiply(a: Factor, b: Factor, out: Float32Array, { rows, depth, columns }: DenseShape): void {
    if (depth === 0) {
      out.fill(0)
      return
    }
    const someColumns = Math.min(columns, Math.max(panelColumns, Math.floor(this.#strips.right / 4 / depth / panelColumns) * panelColumns))
    const most = Math.min(this.#strips.left / 4 / depth, this.#strips.out / 4 / roundUp(someColumns, 8))
    const someRows = Math.min(rows, Math.max(tileRows, Math.floor(most / tileRows) * tileRows))
    this.#left = this.#room(this.#left, roundUp(someRows, tileRows) * depth)
    if (a.transposed) this.#turning = this.#room(this.#turning, someRows * depth)
    this.#right = this.#room(this.#right, someColumns * depth)
    this.#out = this.#room(this.#out, roundUp(someRows, tileRows) * roundUp(someColumns, 8))
    for (let left = 0; left < columns; left += someColumns) {
      const width = Math.min(columns, left + someColumns) - left
      if (b.transposed) this.#copy(b, left, width, 0, depth, this.#right.at)
      else this.#copy(b, 0, depth, left, width, this.#right.at)
      for (let top = 0; top < rows; top += someRows) {
        const height = Math.min(rows, top + someRows) - top
        this.#copyLeft(a, top, height, depth)
        this.#run(height, width, depth, b.transposed)
        this.#collect(out, top, height, left, width, columns)
      }
    }
  }

  async close(): Promise<void> {
    await this.#lanes.close()
  }

  /** Rows of a as the kernel has them, one after the other. */
  #copyLeft(a: Factor, top: number, height: number, depth: number): void {
    if (!a.transposed) {
      this.#copy(a, top, height, 0, depth, this.#left.at)
      return
    }
    this.#copy(a, 0, depth, top, height, this.#turning.at)
    this.#transpose(this.#turning.at, height * 4, depth, height, this.#left.at, depth * 4)
  }

  /** Some rows and columns of what lies in memory, without gaps. */
  #copy({ values, pitch, from }: Factor, top: number, rows: number, left: number, columns: number, at: number): void {
    const place = this.#floats(at, rows * columns)
    const first = top * pitch + from + left
    if (columns === pitch) place.set(values.subarray(first, first + rows * columns))
    else for (let i = 0; i < rows; i++) place.set(values.subarray(first + i * pitch, first + i * pitch + columns), i * columns)
  }

  #run(rows: number, columns: number, depth: number, transposed: boolean): void {
    const panels = Math.ceil(columns / panelColumns)
    const chunks = panels * Math.ceil(rows / CHUNK_ROWS)
    const job = new Int32Array(this.#memory.buffer, this.#job, JOB)
    job.set([0, chunks, 0, rows, columns, depth, this.#left.at, this.#right.at, this.#out.at, transposed ? 1 : 0, CHUNK_ROWS, this.#panels])
    this.#lanes.run()
  }

  #collect(out: Float32Array, top: number, rows: number, left: number, width: number, columns: number): void {
    const pitch = roundUp(width, 8)
    const found = this.#floats(this.#out.at, rows * pitch)
    if (pitch === columns) {
      out.set(found, top * columns)
      return
    }
    for (let row = 0; row < rows; row++) out.set(found.subarray(row * pitch, row * pitch + width), (top + row) * columns + left)
  }

  #floats(at: number, length: number): Float32Array {
    return new Float32Array(this.#memory.buffer, at, length)
  }

  #room(place: { at: number; bytes: number }, floats: number): { at: number; bytes: number } {
    const bytes = floats * 4
    if (bytes <= place.bytes) return place
    // Nothing is freed: by doubling, all that is given up is no more than what is kept.
    const size = Math.max(bytes, 2 * place.bytes)
    return { at: this.#arena.take(size), bytes: size }
  }
}

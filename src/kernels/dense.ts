import { Arena, sharedMemory } from './arena.ts'
import { CONTROL_BYTES, Lanes } from './lanes.ts'
import { roundUp } from './round-up.ts'
import { panelColumns, panelDepth, tileRows } from './tiles.ts'
import { loadModule } from './wasm.ts'

/** A product of matrices [rows, depth] and [depth, columns], or of the latter's transpose. */
export interface DenseShape {
  readonly rows: number
  readonly depth: number
  readonly columns: number
  /** Whether the second matrix is given as [columns, depth]. */
  readonly transposed: boolean
}

/** Words of a job: see assembly/dense.ts. */
const JOB = 12
/** Bytes of the first factor that are in the kernels' memory at a time, of the second and of the product. */
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
  #left = { at: 0, bytes: 0 }
  #right = { at: 0, bytes: 0 }
  #out = { at: 0, bytes: 0 }

  private constructor(module: WebAssembly.Module, threads: number, strips: typeof STRIPS) {
    this.#strips = strips
    const control = this.#arena.take(CONTROL_BYTES)
    this.#job = this.#arena.take(JOB * 4)
    this.#panels = this.#arena.take(threads * panelColumns * panelDepth * 4)
    new Int32Array(this.#memory.buffer, this.#job, JOB).fill(0)
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
  multiply(a: Float32Array, b: Float32Array, out: Float32Array, shape: DenseShape): void {
    const { rows, depth, columns } = shape
    if (depth === 0) {
      out.fill(0)
      return
    }
    const someColumns = Math.min(columns, Math.max(panelColumns, Math.floor(this.#strips.right / 4 / depth / panelColumns) * panelColumns))
    const most = Math.min(this.#strips.left / 4 / depth, this.#strips.out / 4 / roundUp(someColumns, 8))
    const someRows = Math.min(rows, Math.max(tileRows, Math.floor(most / tileRows) * tileRows))
    this.#left = this.#room(this.#left, roundUp(someRows, tileRows) * depth)
    this.#right = this.#room(this.#right, someColumns * depth)
    this.#out = this.#room(this.#out, roundUp(someRows, tileRows) * roundUp(someColumns, 8))
    for (let left = 0; left < columns; left += someColumns) {
      const width = Math.min(columns, left + someColumns) - left
      this.#copyRight(b, shape, left, width)
      for (let top = 0; top < rows; top += someRows) {
        const height = Math.min(rows, top + someRows) - top
        this.#floats(this.#left.at, height * depth).set(a.subarray(top * depth, (top + height) * depth))
        this.#run(height, width, shape)
        this.#collect(out, top, height, left, width, columns)
      }
    }
  }

  async close(): Promise<void> {
    await this.#lanes.close()
  }

  /** Columns `left` to `left + width` of b, or those rows of its transpose. */
  #copyRight(b: Float32Array, { depth, columns, transposed }: DenseShape, left: number, width: number): void {
    const place = this.#floats(this.#right.at, width * depth)
    if (transposed) place.set(b.subarray(left * depth, (left + width) * depth))
    else if (width === columns) place.set(b)
    else for (let k = 0; k < depth; k++) place.set(b.subarray(k * columns + left, k * columns + left + width), k * width)
  }

  #run(rows: number, columns: number, { depth, transposed }: DenseShape): void {
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

import * as tf from '@tensorflow/tfjs-core'
import { checkSweepInput } from '../kernels/check.ts'
import type { Kernels, SweepInput, SweepResult } from '../kernels/kernels.ts'
import { collectGarbage } from '../util/collect-garbage.ts'
import { matMul } from './mat-mul.ts'

/** Below so many columns the kernel by itself is as fast: 1536 x 576 takes 11 to 12 ms either way, 576 x 1536 takes 24 or 16. */
const FEWEST_COLUMNS = 1024

/** The most columns that the kernel sweeps by itself. Blocks are halves of halves of the columns: 192 of 1536, 256 of 4096, 224 of 14336. */
const BLOCK = 256

/** Elements of W that are on the engine at a time, 64 MB: rows of it, which come out the same whatever the others are. */
const STRIP = 2 ** 24

/** Elements of a panel of U beyond which memory is worth collecting: 64 MB. */
const LARGE = 2 ** 24

/** What decides how a sweep is cut. */
interface Cuts {
  readonly fewest: number
  readonly block: number
  readonly strip: number
}

/**
 * As Kernels.sweep, with most of the work in products: the kernel sweeps blocks of columns and gives their errors, the engine takes them out
 * of the columns that follow. By halves, so that products are as large as they can be and each weight is moved a few times, not once for
 * each block: with W = [A, B] and U = [[T, P], [0, V]] the errors E of A are found first, then B - E P is swept with V. Sums are taken in the
 * order of the engine's products, so a few weights are rounded to other codes than by the kernel alone: of 1024 x 2048 one in 80,000, and
 * the losses differ by a millionth.
 */
export async function sweep(kernels: Kernels, input: SweepInput, cuts: Partial<Cuts> = {}): Promise<SweepResult> {
  checkSweepInput(input)
  const { rows, columns } = input
  const { fewest = FEWEST_COLUMNS, block = BLOCK, strip = STRIP } = cuts
  if (columns < fewest || columns <= block) return kernels.sweep(input)
  const height = Math.max(1, Math.min(rows, Math.floor(strip / columns)))
  const work = new BlockSweep(kernels, input, block, height)
  try {
    for (let top = 0; top < rows; top += height) await work.sweepRows(top, Math.min(rows, top + height))
    return work.result
  } finally {
    work.dispose()
  }
}

/** A sweep under way: what is found so far, and the panels of U that are on the engine. */
class BlockSweep {
  readonly result: SweepResult
  readonly #kernels: Kernels
  readonly #input: SweepInput
  readonly #block: number
  /** Whether panels are asked for again. */
  readonly #keepsPanels: boolean
  /** By the column that they end before. */
  readonly #panels = new Map<number, tf.Tensor2D>()
  /** Tensors that are in hand. */
  readonly #held = new Set<tf.Tensor>()
  readonly #order: tf.Tensor1D | null
  /** The errors of a block. */
  readonly #errors: Float32Array

  constructor(kernels: Kernels, input: SweepInput, block: number, height: number) {
    const { rows, columns, float, order } = input
    this.#kernels = kernels
    this.#input = input
    this.#block = block
    this.#keepsPanels = height < rows
    this.#errors = new Float32Array(height * block)
    this.#order = order ? this.#hold(tf.tensor1d(order, 'int32')) : null
    const codes = float ? new Uint8Array(rows * columns) : new Int8Array(rows * columns)
    this.result = { codes, loss: new Float32Array(rows) }
  }

  dispose(): void {
    tf.dispose([...this.#held])
  }

  #hold<T extends tf.Tensor>(tensor: T): T {
    this.#held.add(tensor)
    return tensor
  }

  #drop(tensor: tf.Tensor): void {
    this.#held.delete(tensor)
    tensor.dispose()
  }

  async sweepRows(top: number, bottom: number): Promise<void> {
    const { columns, weight } = this.#input
    const w = tf.tidy(() => {
      const rows = tf.tensor2d(weight.subarray(top * columns, bottom * columns), [bottom - top, columns])
      // Whole rows of the transposed matrix: columns one by one take three times as long.
      return this.#order ? tf.transpose(tf.gather(tf.transpose(rows), this.#order)) : rows
    })
    await this.#sweepColumns(this.#hold(w), top, 0, columns)
  }

  /** Sweeps columns `from` to `to` of the rows from `top` on, which are disposed of; their errors, negative, where columns follow. */
  async #sweepColumns(w: tf.Tensor2D, top: number, from: number, to: number): Promise<tf.Tensor2D | null> {
    if (to - from <= this.#block) return this.#sweepBlock(w, top, from, to)
    const rows = w.shape[0]
    const middle = from + Math.ceil((to - from) / 32) * 16
    const left = this.#hold(tf.slice(w, [0, 0], [rows, middle - from]))
    const right = this.#hold(tf.slice(w, [0, middle - from], [rows, to - middle]))
    this.#drop(w)
    const first = (await this.#sweepColumns(left, top, from, middle)) as tf.Tensor2D
    const panel = this.#panel(from, middle, to)
    const rest = this.#hold(tf.tidy(() => tf.add<tf.Tensor2D>(right, matMul(first, panel))))
    this.#drop(right)
    if (!this.#keepsPanels) this.#drop(panel)
    // The engine has its own copy of what was cut out for it.
    if (top === 0 && panel.size > LARGE) collectGarbage()
    const second = await this.#sweepColumns(rest, top, middle, to)
    const errors = second && this.#hold(tf.concat([first, second], 1))
    this.#drop(first)
    if (second) this.#drop(second)
    return errors
  }

  /** U[from .. middle, middle .. to] */
  #panel(from: number, middle: number, to: number): tf.Tensor2D {
    const { factor, columns } = this.#input
    const known = this.#panels.get(middle)
    if (known) return known
    const panel = this.#hold(tf.tensor2d(part(factor, columns, [from, middle], [middle, to]), [middle - from, to - middle]))
    if (this.#keepsPanels) this.#panels.set(middle, panel)
    return panel
  }

  async #sweepBlock(w: tf.Tensor2D, top: number, from: number, to: number): Promise<tf.Tensor2D | null> {
    const { columns, factor, float, min, max } = this.#input
    const rows = w.shape[0]
    const weight = await w.data<'float32'>()
    this.#drop(w)
    const errors = to < columns ? this.#errors.subarray(0, weight.length) : undefined
    const { codes, loss } = await this.#kernels.sweep({
      rows,
      columns: to - from,
      weight,
      factor: part(factor, columns, [from, to], [from, to]),
      ...this.#scalesOf(top, rows, from, to),
      ...{ float, min, max },
      ...(errors && { errors }),
    })
    this.#take(codes, top, from, to)
    for (let row = 0; row < rows; row++) this.result.loss[top + row] += loss[row]
    // TensorFlow takes an array that happens to be aligned as it is, and this one is filled again.
    return errors ? this.#hold(tf.tidy(() => tf.neg<tf.Tensor2D>(tf.tensor2d(errors, [rows, to - from])))) : null
  }

  /** Those that the columns use: of fewer groups than there are, where columns are in the model's order. */
  #scalesOf(top: number, rows: number, from: number, to: number): Pick<SweepInput, 'scale' | 'zeroPoint' | 'groups' | 'groupOf'> {
    const { scale, zeroPoint, groups } = this.#input
    const groupOf = this.#input.groupOf.subarray(from, to)
    const used = [...new Set(groupOf)]
    const rowsOf = <T extends Float32Array | Int8Array>(values: T): T => {
      const all = values.subarray(top * groups, (top + rows) * groups) as T
      if (used.length === groups) return all
      const few = all.slice(0, rows * used.length) as T
      for (let row = 0, at = 0, to = 0; row < rows; row++, at += groups) for (const group of used) few[to++] = all[at + group]
      return few
    }
    const place = used.length === groups ? null : new Map(used.map((group, i) => [group, i]))
    return {
      scale: rowsOf(scale),
      zeroPoint: zeroPoint && rowsOf(zeroPoint),
      groups: used.length,
      groupOf: place ? groupOf.map((group) => place.get(group) ?? 0) : groupOf,
    }
  }

  #take(codes: SweepResult['codes'], top: number, from: number, to: number): void {
    const { columns, order } = this.#input
    const width = to - from
    const found = this.result.codes
    for (let at = 0, row = top * columns; at < codes.length; at += width, row += columns) {
      if (order) for (let j = 0; j < width; j++) found[row + order[from + j]] = codes[at + j]
      else found.set(codes.subarray(at, at + width), row + from)
    }
  }
}

/** Rows and columns of a matrix with `pitch` columns, row major. */
function part(
  values: Float32Array,
  pitch: number,
  [top, bottom]: readonly [number, number],
  [left, right]: readonly [number, number],
): Float32Array {
  const width = right - left
  const out = new Float32Array((bottom - top) * width)
  for (let row = top; row < bottom; row++) out.set(values.subarray(row * pitch + left, row * pitch + right), (row - top) * width)
  return out
}

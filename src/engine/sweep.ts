import * as tf from '@tensorflow/tfjs-core'
import type { Kernels, SweepInput, SweepResult } from '../kernels/kernels.ts'
import { collectGarbage } from '../util/collect-garbage.ts'
import { matMul } from './mat-mul.ts'

/** Columns that the kernel sweeps by itself: about so many, since blocks are halves of halves. */
const BLOCK = Number(process.env.SWEEP_BLOCK ?? 160)

/** Elements of W that are on the engine at a time: some rows of it. */
const STRIP = Number(process.env.SWEEP_STRIP ?? 2 ** 23)

/** Bytes of a panel of U beyond which what is copied for the engine is given back at once. */
const LARGE = 64 * 2 ** 20

/**
 * As Kernels.sweep, with most of the work in products: the kernel sweeps blocks of columns and gives their errors, the engine takes them out of the columns
 * that follow. By halves, so that products are as large as they can be and each weight is moved a few times, not once for each block:
 * with W = [A, B] and U = [[T, P], [0, V]] the errors E of A are found first, then B - E P is swept with V. Sums are taken in the order of
 * the engine's products, so a weight in some thousands is rounded to another code than the kernel's own.
 */
export async function sweep(kernels: Kernels, input: SweepInput, block = BLOCK, strip = STRIP): Promise<SweepResult> {
  const { rows, columns } = input
  if (columns <= block) return kernels.sweep(input)
  const height = Math.max(1, Math.min(rows, Math.floor(strip / columns)))
  const work = new BlockSweep(kernels, input, block, height < rows)
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
  readonly #panels = new Map<number, tf.Tensor2D>()
  readonly #order: tf.Tensor1D | null

  constructor(kernels: Kernels, input: SweepInput, block: number, keepsPanels: boolean) {
    const { rows, columns, float, order } = input
    this.#kernels = kernels
    this.#input = input
    this.#block = block
    this.#keepsPanels = keepsPanels
    this.#order = order ? tf.tensor1d(order, 'int32') : null
    const codes = float ? new Uint8Array(rows * columns) : new Int8Array(rows * columns)
    this.result = { codes, loss: new Float32Array(rows), errors: null }
  }

  dispose(): void {
    this.#order?.dispose()
    for (const panel of this.#panels.values()) panel.dispose()
  }

  async sweepRows(top: number, bottom: number): Promise<void> {
    const { columns, weight } = this.#input
    const w = tf.tidy(() => {
      const rows = tf.tensor2d(weight.subarray(top * columns, bottom * columns), [bottom - top, columns])
      return this.#order ? tf.gather(rows, this.#order, 1) : rows
    })
    await this.#sweepColumns(w, top, 0, columns)
  }

  /** Sweeps columns `from` to `to` of the rows from `top` on, which are disposed of; their errors, where columns follow. */
  async #sweepColumns(w: tf.Tensor2D, top: number, from: number, to: number): Promise<tf.Tensor2D | null> {
    if (to - from <= this.#block) return this.#sweepBlock(w, top, from, to)
    const { columns } = this.#input
    const rows = w.shape[0]
    const middle = from + Math.ceil((to - from) / 32) * 16
    const left = tf.slice(w, [0, 0], [rows, middle - from])
    const right = tf.slice(w, [0, middle - from], [rows, to - middle])
    w.dispose()
    const first = (await this.#sweepColumns(left, top, from, middle)) as tf.Tensor2D
    const panel = this.#panel(from, middle, to)
    const rest = tf.tidy(() => tf.sub<tf.Tensor2D>(right, matMul(first, panel)))
    right.dispose()
    if (!this.#keepsPanels) panel.dispose()
    const second = await this.#sweepColumns(rest, top, middle, to)
    const errors = to < columns ? tf.concat([first, second as tf.Tensor2D], 1) : null
    tf.dispose([first, second ?? []])
    return errors
  }

  /** U[from .. middle, middle .. to] */
  #panel(from: number, middle: number, to: number): tf.Tensor2D {
    const { factor, columns } = this.#input
    const known = this.#panels.get(middle)
    if (known) return known
    const panel = tf.tensor2d(part(factor, columns, [from, middle], [middle, to]), [middle - from, to - middle])
    if (this.#keepsPanels) this.#panels.set(middle, panel)
    return panel
  }

  async #sweepBlock(w: tf.Tensor2D, top: number, from: number, to: number): Promise<tf.Tensor2D | null> {
    const { columns, factor, scale, zeroPoint, groups, float, min, max } = this.#input
    const rows = w.shape[0]
    const weight = await w.data<'float32'>()
    w.dispose()
    const { errors, codes, loss } = await this.#kernels.sweep({
      rows,
      columns: to - from,
      weight,
      factor: part(factor, columns, [from, to], [from, to]),
      scale: scale.subarray(top * groups, (top + rows) * groups),
      zeroPoint: zeroPoint?.subarray(top * groups, (top + rows) * groups) ?? null,
      groups,
      groupOf: this.#input.groupOf.subarray(from, to),
      ...{ float, min, max, errors: to < columns },
    })
    this.#take(codes, top, from, to)
    for (let row = 0; row < rows; row++) this.result.loss[top + row] += loss[row]
    return errors && tf.tensor2d(errors, [rows, to - from])
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

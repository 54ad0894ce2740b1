import type { QuantizationArgs } from '../../checkpoint/quantization-config.ts'
import { minMaxGrid } from '../../schemes/qparams.ts'
import { dequantizeRows } from '../../schemes/quantize.ts'
import { roundedValues } from '../../schemes/round-to-grid.ts'
import type { SpareMemory } from '../../util/spare-memory.ts'
import type { LinearReport } from '../modifier.ts'
import { outputErrors } from '../statistics/hessian.ts'
import { allRows, type JudgedRows, judgedRows } from './judged-rows.ts'
import type { Compressed, Task } from './task.ts'

/** Numbers of judged matrices that are held at a time, 16 MB of float32, or what one linear has. */
const MOST_TOGETHER = 2 ** 22

type Errors = Pick<LinearReport, 'error' | 'rtnError' | 'heldBackError'>

/** What of a linear is judged. */
interface Judged extends Compressed {
  readonly judged: JudgedRows
}

/**
 * Squared errors of the outputs of a stage's linears relative to the outputs, of some of their rows: of what the codes stand for, on the
 * rows of tokens that were fitted to and on those held back, and of plain rounding from minimum and maximum of the original weight. Small
 * linears are judged together: the Hessians go to the engine once for all of them.
 */
export async function errorsOfOutputs(compressed: readonly Compressed[], memory: SpareMemory): Promise<Errors[]> {
  if (compressed.length === 0) return []
  await compressed[0].task.moments.heldBack?.hessian.matrix.restore()
  const errors: Errors[] = []
  for (const heap of heapsOf(compressed)) errors.push(...(await judge(heap, memory)))
  return errors
}

function heapsOf(compressed: readonly Compressed[]): Judged[][] {
  const heaps: Judged[][] = []
  let size = Number.POSITIVE_INFINITY
  for (const one of compressed) {
    const judged = judgedOf(one.task)
    const own = 3 * judged.rows.length * one.task.linear.columns
    size += own
    if (size > MOST_TOGETHER) {
      heaps.push([])
      size = own
    }
    heaps[heaps.length - 1].push({ ...one, judged })
  }
  return heaps
}

/** Rows that share a scale are all judged. */
function judgedOf({ linear: { rows }, args, weight, moments }: Task): JudgedRows {
  return hasOwnScales(args) ? judgedRows(weight, rows, moments.fitted.hessian.matrix.diagonal()) : allRows(rows)
}

/** Whether no row shares a scale with others. */
function hasOwnScales({ strategy }: QuantizationArgs): boolean {
  return strategy === 'group' || strategy === 'channel'
}

async function judge(heap: readonly Judged[], memory: SpareMemory): Promise<Errors[]> {
  const { linear, moments } = heap[0].task
  const { columns } = linear
  const { fitted, heldBack } = moments
  const height = heap.reduce((sum, { judged: { rows } }) => sum + rows.length, 0)
  const size = height * columns
  // All weights, then all errors, then all that plain rounding loses: of rows held back the first two are wanted.
  const all = new Float32Array(memory.take(3 * size * 4))
  const [weights, errors, lost] = [0, 1, 2].map((part) => all.subarray(part * size, (part + 1) * size))
  let top = 0
  for (const { task, quantized, judged } of heap) {
    const { rows } = judged
    const [from, to] = [top * columns, (top + rows.length) * columns]
    takeRows(task.weight, rows, columns, weights.subarray(from, to))
    takeRows(task.linear.weight, rows, columns, lost.subarray(from, to))
    subtract(dequantizeRows(quantized, rows), weights.subarray(from, to), errors.subarray(from, to))
    top += rows.length
  }
  await losePlainly(heap, lost)
  const [forms] = await outputErrors(fitted.hessian, [all])
  const [heldBackForms] = heldBack ? await outputErrors(heldBack.hessian, [all.subarray(0, 2 * size)]) : [null]
  memory.give(all)
  let from = 0
  return heap.map(({ isSound, judged: { rows, counts } }) => {
    const sum = (values: Float32Array, part: number) => counts.reduce((all, count, i) => all + count * values[part * height + from + i], 0)
    const share = (values: Float32Array, part: number) => relative(sum(values, part), sum(values, 0))
    // Rows that are not judged have no error to tell of what was beyond float32.
    const found = { error: isSound ? share(forms, 1) : Number.NaN, rtnError: share(forms, 2) }
    const report = heldBackForms ? { ...found, heldBackError: share(heldBackForms, 1) } : found
    from += rows.length
    return report
  })
}

function takeRows(matrix: Float32Array, rows: Int32Array, columns: number, out: Float32Array): void {
  if (out.length === matrix.length) out.set(matrix)
  else for (const [i, row] of rows.entries()) out.set(matrix.subarray(row * columns, (row + 1) * columns), i * columns)
}

/** Puts in the place of original weights what plain rounding loses of them. */
async function losePlainly(heap: readonly Judged[], weights: Float32Array): Promise<void> {
  let from = 0
  for (const { task, rows } of alike(heap)) {
    const { linear, stage, args, plainGlobalScale } = task
    const { columns, dtype } = linear
    const own = weights.subarray(from, from + rows * columns)
    const grid = minMaxGrid(own, rows, columns, args, dtype, plainGlobalScale)
    subtract(await roundedValues(stage.kernels, own, rows, columns, args, grid), own, own)
    from += own.length
  }
}

/** Neighbours whose rows are rounded alike, as one. */
function alike(heap: readonly Judged[]): { readonly task: Task; readonly rows: number }[] {
  const runs: { task: Task; rows: number }[] = []
  for (const { task, judged } of heap) {
    const rows = judged.rows.length
    const last = runs.at(-1)
    if (last && hasOwnScales(task.args) && last.task.args === task.args && last.task.linear.dtype === task.linear.dtype) last.rows += rows
    else runs.push({ task, rows })
  }
  return runs
}

/** `out` may be `weight`. */
function subtract(values: Float32Array, weight: Float32Array, out: Float32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = values[i] - weight[i]
}

/** None where there is nothing to lose. */
function relative(lost: number, whole: number): number {
  return whole > 0 ? lost / whole : 0
}

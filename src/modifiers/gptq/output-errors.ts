import type { QuantizationArgs } from '../../checkpoint/quantization-config.ts'
import { minMaxGrid } from '../../schemes/qparams.ts'
import { dequantizeRows } from '../../schemes/quantize.ts'
import { roundedValues } from '../../schemes/round-to-grid.ts'
import type { SpareMemory } from '../../util/spare-memory.ts'
import type { LinearReport } from '../modifier.ts'
import { outputErrors } from '../statistics/hessian.ts'
import type { Compressed, Task } from './task.ts'

/** One row in so many is judged, where there are many: all would take as long as the sweep. */
const JUDGED_ROWS = 4
const MANY_ROWS = 256

/** Numbers of judged matrices that are held at a time, 16 MB of float32, or what one linear has. */
const MOST_TOGETHER = 2 ** 22

type Errors = Pick<LinearReport, 'error' | 'rtnError' | 'heldBackError'>

/** What of a linear is judged. */
interface Judged extends Compressed {
  /** One row in so many. */
  readonly step: number
  readonly rows: number
}

/**
 * Squared errors of the outputs of a stage's linears relative to the outputs, of one row in `JUDGED_ROWS`: of what the codes stand for, on the
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
    const { linear } = one.task
    const step = stepOf(one.task)
    const rows = Math.ceil(linear.rows / step)
    const own = 3 * rows * linear.columns
    size += own
    if (size > MOST_TOGETHER) {
      heaps.push([])
      size = own
    }
    heaps[heaps.length - 1].push({ ...one, step, rows })
  }
  return heaps
}

/** Rows that share a scale are all judged. */
function stepOf({ linear, args }: Task): number {
  return linear.rows >= MANY_ROWS && hasOwnScales(args) ? JUDGED_ROWS : 1
}

/** Whether no row shares a scale with others. */
function hasOwnScales({ strategy }: QuantizationArgs): boolean {
  return strategy === 'group' || strategy === 'channel'
}

async function judge(heap: readonly Judged[], memory: SpareMemory): Promise<Errors[]> {
  const { linear, moments } = heap[0].task
  const { columns } = linear
  const { fitted, heldBack } = moments
  const height = heap.reduce((sum, { rows }) => sum + rows, 0)
  const size = height * columns
  // All weights, then all errors, then all that plain rounding loses: of rows held back the first two are wanted.
  const all = new Float32Array(memory.take(3 * size * 4))
  const [weights, errors, lost] = [0, 1, 2].map((part) => all.subarray(part * size, (part + 1) * size))
  let top = 0
  for (const { task, quantized, step, rows } of heap) {
    const [from, to] = [top * columns, (top + rows) * columns]
    everyRow(step, task.weight, columns, weights.subarray(from, to))
    everyRow(step, task.linear.weight, columns, lost.subarray(from, to))
    subtract(dequantizeRows(quantized, step), weights.subarray(from, to), errors.subarray(from, to))
    top += rows
  }
  await losePlainly(heap, lost)
  const [forms] = await outputErrors(fitted.hessian, [all])
  const [heldBackForms] = heldBack ? await outputErrors(heldBack.hessian, [all.subarray(0, 2 * size)]) : [null]
  memory.give(all)
  let from = 0
  return heap.map(({ isSound, rows }) => {
    const own = (values: Float32Array, part: number) => values.subarray(part * height + from, part * height + from + rows)
    const share = (values: Float32Array, part: number) => relative(own(values, part), own(values, 0))
    // Rows that are not judged have no error to tell of what was beyond float32.
    const found = { error: isSound ? share(forms, 1) : Number.NaN, rtnError: share(forms, 2) }
    const report = heldBackForms ? { ...found, heldBackError: share(heldBackForms, 1) } : found
    from += rows
    return report
  })
}

/** Every `step`-th row of a matrix. */
function everyRow(step: number, matrix: Float32Array, columns: number, out: Float32Array): void {
  if (step === 1) out.set(matrix)
  else for (let to = 0, at = 0; to < out.length; to += columns, at += step * columns) out.set(matrix.subarray(at, at + columns), to)
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
  for (const { task, rows } of heap) {
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

/** The sum of `lost` relative to that of `whole`. */
function relative(lost: Float32Array, whole: Float32Array): number {
  const sum = (values: Float32Array) => values.reduce((total, value) => total + value, 0)
  const all = sum(whole)
  return all > 0 ? sum(lost) / all : 0
}

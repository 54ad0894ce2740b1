import type { QuantizationArgs } from '../../checkpoint/quantization-config.ts'
import { minMaxGrid } from '../../schemes/qparams.ts'
import { dequantizeRows } from '../../schemes/quantize.ts'
import { roundedValues } from '../../schemes/round-to-grid.ts'
import type { LinearReport } from '../modifier.ts'
import { outputErrors } from '../statistics/hessian.ts'
import { setAside } from '../statistics/moments.ts'
import { difference } from './difference.ts'
import { allRows, type JudgedRows, judgedRows, rowOutputs } from './judged-rows.ts'
import type { Compressed, Task } from './task.ts'

/** Numbers of judged rows that are held at a time, 16 MB of float32, or what one linear has. */
const MOST_TOGETHER = 2 ** 22

type Errors = Pick<LinearReport, 'error' | 'rtnError' | 'heldBackError'>

/** What of a linear is judged. */
interface Judged extends Compressed {
  readonly judged: JudgedRows
}

/**
 * Squared errors of the outputs of a stage's linears relative to the outputs, of some of their rows: of what the codes stand for, on the
 * rows of tokens that were fitted to and on those held back, and of plain rounding from minimum and maximum of the original weight. Small
 * linears are judged together: the Hessians go to the engine once for all of them. Errors: the signal's reason.
 */
export async function errorsOfOutputs(compressed: readonly Compressed[]): Promise<Errors[]> {
  if (compressed.length === 0) return []
  const { stage, moments } = compressed[0].task
  await moments.heldBack?.hessian.matrix.restore()
  const errors: Errors[] = []
  for (const heap of heapsOf(compressed)) {
    stage.signal.throwIfAborted()
    errors.push(...(await judge(heap)))
  }
  // Other stages have the same.
  if (stage.measured) await setAside(moments.heldBack, stage)
  return errors
}

function heapsOf(compressed: readonly Compressed[]): Judged[][] {
  const heaps: Judged[][] = []
  let size = Number.POSITIVE_INFINITY
  for (const one of compressed) {
    const judged = judgedOf(one)
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
function judgedOf({ task: { linear, args, weight, moments }, loss }: Compressed): JudgedRows {
  const { rows } = linear
  if (!hasOwnScales(args)) return allRows(rows)
  const outputs = rowOutputs(weight, rows, moments.fitted.hessian.matrix.diagonal())
  return judgedRows(rows, loss ? [outputs, loss] : [outputs])
}

/** Whether no row shares a scale with others. */
function hasOwnScales({ strategy }: QuantizationArgs): boolean {
  return strategy === 'group' || strategy === 'tensor_group' || strategy === 'channel'
}

async function judge(heap: readonly Judged[]): Promise<Errors[]> {
  const { fitted, heldBack } = heap[0].task.moments
  const kept: Float32Array[] = []
  const lost: Float32Array[] = []
  for (const { task, quantized, judged } of heap) {
    const weight = rowsOf(task.weight, judged, task.linear.rows)
    const values = dequantizeRows(quantized, judged.rows.length < task.linear.rows ? judged.rows : null)
    kept.push(weight, difference(values, weight, values))
    lost.push(await plainlyLost(task, judged))
  }
  const forms = await outputErrors(fitted.hessian, [...kept, ...lost])
  const heldBackForms = heldBack && (await outputErrors(heldBack.hessian, kept))
  return heap.map(({ loss, judged: { counts } }, i) => {
    const sum = (values: Float32Array) => counts.reduce((total, count, row) => total + count * values[row], 0)
    const outputs = sum(forms[2 * i])
    // Rows that are not judged have no error to tell of what was beyond float32.
    const error = loss === null || loss.every(Number.isFinite) ? relative(sum(forms[2 * i + 1]), outputs) : Number.NaN
    const found = { error, rtnError: relative(sum(forms[kept.length + i]), outputs) }
    return heldBackForms ? { ...found, heldBackError: relative(sum(heldBackForms[2 * i + 1]), sum(heldBackForms[2 * i])) } : found
  })
}

/** The rows of a matrix that are judged; the matrix itself where that is all of it. */
function rowsOf(matrix: Float32Array, { rows }: JudgedRows, of: number): Float32Array {
  if (rows.length === of) return matrix
  const columns = matrix.length / of
  const out = new Float32Array(rows.length * columns)
  for (const [i, row] of rows.entries()) out.set(matrix.subarray(row * columns, (row + 1) * columns), i * columns)
  return out
}

/** What plain rounding loses of the original weight's rows. */
async function plainlyLost({ stage, linear, args, plainGlobalScale }: Task, judged: JudgedRows): Promise<Float32Array> {
  const { columns, dtype } = linear
  const count = judged.rows.length
  const weight = rowsOf(linear.weight, judged, linear.rows)
  const grid = minMaxGrid(weight, count, columns, args, dtype, plainGlobalScale)
  const values = await roundedValues(stage.kernels, weight, count, columns, args, grid)
  return difference(values, weight, values)
}

/** None where there is nothing to lose. */
function relative(lost: number, whole: number): number {
  return whole > 0 ? lost / whole : 0
}

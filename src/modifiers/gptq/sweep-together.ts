import type { Quantized } from '../../checkpoint/layouts/layout.ts'
import type { SweepInput, SweepResult } from '../../kernels/kernels.ts'
import { codeRange } from '../../schemes/grid.ts'
import { rowScales } from '../../schemes/row-scales.ts'
import { collectGarbage } from '../../util/collect-garbage.ts'
import { span } from '../../util/span.ts'
import type { Factor } from '../statistics/hessian.ts'
import type { Gridded } from './task.ts'

/** Weights of linears that are swept as one matrix, 4 MB of float32: they are there twice, and of larger ones little can be shared. */
const MOST_TOGETHER = 2 ** 20

/** Bytes of a factor that are given back before what follows the sweep: of 14336 columns, 0.8 GB. */
const LARGE = 128 * 2 ** 20

/** What a sweep made of a linear. */
interface Swept {
  readonly quantized: Quantized
  /** [rows] as in `SweepResult`. */
  readonly loss: Float32Array
}

/** A linear as the sweep takes it. */
interface Part extends Gridded {
  /** Its place among all. */
  readonly index: number
  readonly factor: Factor
  /** All but the factor, so that nothing else refers to that when it is let go of. */
  readonly input: Omit<SweepInput, 'factor'>
}

/**
 * Sweeps the linears of a stage; null where one has no factor. Those that share factor, groups and codes are one matrix, since rows know
 * nothing of each other: the kernel packs their factor once and has more rows to share out. Each factor is let go of after its last sweep.
 */
export async function sweepTogether(gridded: readonly Gridded[]): Promise<(Swept | null)[]> {
  const heaps = heapsOf(gridded.flatMap((one, index) => (one.task.factor ? [partOf(one, one.task.factor, index)] : [])))
  const found: (Swept | null)[] = gridded.map(() => null)
  for (const [i, heap] of heaps.entries()) {
    const [{ task, factor }] = heap
    task.stage.signal.throwIfAborted()
    const swept = await span('step', 'sweep', () => sweep(heap))
    for (const [j, { index }] of heap.entries()) found[index] = swept[j]
    if (heaps.findLastIndex(([other]) => other.factor === factor) === i) letGo(factor)
  }
  return found
}

function partOf({ task, grid }: Gridded, factor: Factor, index: number): Part {
  const { linear, args, weight } = task
  const { rows, columns } = linear
  const { order } = factor
  const { groupSize, ...scales } = rowScales(args, rows, columns, grid)
  // A column keeps the scale of its original group, so that no order has to be stored.
  const groupOf = order.map((column) => Math.floor(column / groupSize))
  return {
    task,
    grid,
    factor,
    index,
    input: { rows, columns, weight, order, ...scales, groupOf, ...codeRange(args) },
  }
}

/** Parts that are swept as one matrix, in their order. */
function heapsOf(parts: readonly Part[]): Part[][] {
  const heaps: Part[][] = []
  for (const part of parts) {
    const own = heaps.find((heap) => goTogether(heap[0], part) && sizeOf(heap) + part.input.weight.length <= MOST_TOGETHER)
    if (own) own.push(part)
    else heaps.push([part])
  }
  return heaps
}

function goTogether({ factor, input: a }: Part, { factor: other, input: b }: Part): boolean {
  const isSame = (['groups', 'float', 'min', 'max'] as const).every((key) => a[key] === b[key])
  return factor === other && isSame && (a.zeroPoint === null) === (b.zeroPoint === null)
}

function sizeOf(heap: readonly Part[]): number {
  return heap.reduce((sum, { input }) => sum + input.weight.length, 0)
}

async function sweep(heap: readonly Part[]): Promise<Swept[]> {
  const [{ task, factor }] = heap
  const { stage } = task
  const isOne = heap.length === 1
  const input = { ...(isOne ? heap[0].input : stacked(heap)), factor: factor.values }
  const { codes, loss } = await (stage.engine.sweep?.(stage.kernels, input) ?? stage.kernels.sweep(input))
  let top = 0
  return heap.map(({ task: { args }, grid, input: { rows, columns } }) => {
    const from = top
    top += rows
    const own: SweepResult['codes'] = isOne ? codes : codes.slice(from * columns, top * columns)
    return { quantized: { args, rows, columns, codes: own, ...grid }, loss: loss.subarray(from, top) }
  })
}

/** One below the other. */
function stacked(heap: readonly Part[]): Part['input'] {
  const inputs = heap.map(({ input }) => input)
  const [first] = inputs
  const { columns, groups } = first
  const rows = inputs.reduce((sum, input) => sum + input.rows, 0)
  const weight = new Float32Array(rows * columns)
  const scale = new Float32Array(rows * groups)
  const zeroPoint = first.zeroPoint && new Int8Array(rows * groups)
  let top = 0
  for (const input of inputs) {
    weight.set(input.weight, top * columns)
    scale.set(input.scale, top * groups)
    if (input.zeroPoint) zeroPoint?.set(input.zeroPoint, top * groups)
    top += input.rows
  }
  return { ...first, rows, weight, scale, zeroPoint }
}

function letGo(factor: Factor): void {
  const isLarge = factor.values.byteLength > LARGE
  factor.values = new Float32Array(0)
  if (isLarge) collectGarbage()
}

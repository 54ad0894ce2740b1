import { Arena } from './arena.ts'
import type { Call, Crew } from './crew.ts'
import type { RefineInput, RefineResult } from './kernels.ts'
import { roundUp } from './round-up.ts'
import { smallFloats } from './small-floats.ts'
import { panelColumns, panelDepth, refineStep, tileRows } from './tiles.ts'

/** Rows are taken through the wasm memory in strips of about this size. */
const stripBytes = 64 * 2 ** 20
/** What a lane may take for H c of the groups of its rows, and all lanes together. */
const laneLimit = 64 * 2 ** 20
const lanesLimit = 1.5 * 2 ** 30
/**
 * Rows that share one pass over H: while H stays in a second-level cache of `cacheBytes` their own data should too, beyond it H is dearer.
 */
const cachedRows = 16
const streamedRows = 32
const cacheBytes = 2 * 2 ** 20
/** Calls per lane: enough that a lane on a busy core leaves its share to the others. */
const callsPerLane = 4
/** Numbers that name the stored types, see assembly/stored.ts. */
const dtypes = { F32: 0, F16: 1, BF16: 2 } as const

/** How a row is laid out: groups padded to vectors, rows to register tiles. */
interface Layout {
  groups: number
  groupSize: number
  /** Columns of a group with its padding. */
  padded: number
  /** Columns of a row with all padding. */
  width: number
}

/** Rows [.., columns] of `source` to rows `pitch` apart; padding keeps the value it has. */
function copyRows(
  source: Float32Array | Uint8Array,
  { groups, groupSize, padded }: Layout,
  pitch: number,
  out: Float32Array | Uint8Array,
): void {
  const columns = groups * groupSize
  if (columns === pitch) {
    out.set(source)
    return
  }
  const run = padded === groupSize ? columns : groupSize
  for (let from = 0; from < source.length; from += run) {
    const column = from % columns
    out.set(source.subarray(from, from + run), ((from - column) / columns) * pitch + (column / groupSize) * padded)
  }
}

/** The rows of `copyRows` back without their padding. */
function collectRows(source: Uint8Array, { groups, groupSize, padded, width }: Layout, out: Uint8Array): void {
  const columns = groups * groupSize
  const run = padded === groupSize ? columns : groupSize
  for (let to = 0; to < out.length; to += run) {
    const column = to % columns
    const from = ((to - column) / columns) * width + (column / groupSize) * padded
    out.set(source.subarray(from, from + run), to)
  }
}

/** Rows of H that are brought at a time. */
const hessianRows = 64

/** H with a row of zeros for every column of padding, and its diagonal with ones there. */
function copyHessian({ columns, hessian }: RefineInput, layout: Layout, pitch: number, out: Float32Array, diagonal: Float32Array): void {
  const { groupSize, padded } = layout
  if (columns !== pitch) out.fill(0)
  diagonal.fill(1)
  const place = (j: number) => Math.floor(j / groupSize) * padded + (j % groupSize)
  const own = hessian.diagonal()
  for (let j = 0; j < columns; j++) diagonal[place(j)] = own[j]
  const some = new Float32Array(hessianRows * columns)
  for (let from = 0; from < columns; from += hessianRows) {
    const to = Math.min(columns, from + hessianRows)
    hessian.block(from, to, 0, columns, some)
    for (let j = from; j < to; j++) {
      const at = place(j) * pitch
      copyRows(some.subarray((j - from) * columns, (j - from + 1) * columns), layout, pitch, out.subarray(at, at + pitch))
    }
  }
}

/** Rows that share a pass over H: fewer where H c of their groups would take too much. No result depends on it. */
function stripRows(layout: Layout, rows: number): number {
  const { groups, width } = layout
  const fitting = Math.floor(laneLimit / (groups * width * 4) / tileRows) * tileRows
  const wanted = width * width * 4 <= cacheBytes ? cachedRows : streamedRows
  return Math.max(tileRows, Math.min(wanted, fitting, roundUp(rows, tileRows)))
}

/** What each byte stands for as a code. */
function valuesOf(float: RefineInput['float']): Float32Array {
  const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte)
  return float ? smallFloats[float].decode(bytes) : Float32Array.from(new Int8Array(bytes.buffer))
}

/** `RefineInput` through the wasm export `refine`. */
export async function wasmRefine(memory: WebAssembly.Memory, crew: Crew, input: RefineInput): Promise<RefineResult> {
  const { rows, columns, groupSize, zeroPoint, float, min, max, rounds, scaleDtype } = input
  const groups = columns / groupSize
  const padded = roundUp(groupSize, 4)
  const width = roundUp(groups * padded, refineStep)
  const layout = { groups, groupSize, padded, width }
  // Rows of H that are a multiple of 4 KiB apart would share the same few lines of the cache.
  const pitch = width % 1024 === 0 ? width + refineStep * 2 : width
  const strip = scaleDtype ? stripRows(layout, rows) : tileRows
  const fitBytes = panelDepth * panelColumns * 4 + roundUp(groups, 2) * 8 * (2 * groups + 2) + strip * groups * width * 4
  const laneBytes = roundUp(strip * width * 4 + (scaleDtype ? fitBytes : 0), 64)
  const lanes = Math.max(1, Math.min(crew.lanes, Math.floor(lanesLimit / laneBytes)))
  const stride = Math.min(rows, roundUp(Math.max(1, Math.floor(stripBytes / (width * 9 + groups * 8))), strip))

  const arena = new Arena(memory, `refine a matrix of ${rows} x ${columns}`)
  const hessian = arena.take(groups * padded * pitch * 4)
  const diagonal = arena.take(width * 4)
  const weight = arena.take(stride * width * 4)
  const product = arena.take(stride * width * 4)
  const codes = arena.take(stride * width)
  const values = arena.take(256 * 4)
  const scale = arena.take(stride * groups * 4)
  const zero = arena.take(stride * groups * 4)
  const loss = arena.take(stride * 4)
  const scratch = arena.take(lanes * laneBytes)
  const { buffer } = memory

  copyHessian(input, layout, pitch, new Float32Array(buffer, hessian, groups * padded * pitch), new Float32Array(buffer, diagonal, width))
  const weightView = new Float32Array(buffer, weight, stride * width).fill(0)
  const productView = new Float32Array(buffer, product, stride * width)
  const codesView = new Uint8Array(buffer, codes, stride * width).fill(0)
  new Float32Array(buffer, values, 256).set(valuesOf(float))
  const scaleView = new Float32Array(buffer, scale, stride * groups)
  const zeroView = new Float32Array(buffer, zero, stride * groups).fill(0)
  const fixed = [weight, product, codes, values, scale, zero, loss, hessian, diagonal]
  const dtype = scaleDtype ? dtypes[scaleDtype] : -1
  const kind = float ? smallFloats[float].id : 0
  const sizes = [width, pitch * 4, groups, padded, strip, rounds, dtype, kind, min, max]
  const given = new Uint8Array(input.codes.buffer, input.codes.byteOffset, rows * columns)
  const found = new Uint8Array(rows * columns)
  const result = { scale: new Float32Array(rows * groups), loss: new Float32Array(rows) }
  for (let from = 0; from < rows; from += stride) {
    const count = Math.min(stride, rows - from)
    const part = [from * columns, (from + count) * columns] as const
    const tiles = [from * groups, (from + count) * groups] as const
    productView.fill(0)
    copyRows(input.weight.subarray(...part), layout, width, weightView)
    copyRows(input.product.subarray(...part), layout, width, productView)
    copyRows(given.subarray(...part), layout, width, codesView)
    scaleView.set(input.scale.subarray(...tiles))
    if (zeroPoint) zeroView.set(zeroPoint.subarray(...tiles))
    const step = roundUp(Math.ceil(count / (crew.lanes === 1 ? 1 : crew.lanes * callsPerLane)), strip)
    const calls: Call[] = []
    for (let top = 0; top < count; top += step) {
      // Where memory is short of a place for every lane, calls have places instead, and fewer of them go at once.
      const place = lanes < crew.lanes ? [scratch + (calls.length % lanes) * laneBytes, 0] : [scratch, laneBytes]
      calls.push([...fixed, ...place, ...sizes, top, Math.min(top + step, count)])
    }
    const batch = lanes < crew.lanes ? lanes : calls.length
    for (let at = 0; at < calls.length; at += batch) await crew.run('refine', calls.slice(at, at + batch))
    collectRows(codesView, layout, found.subarray(...part))
    result.scale.set(scaleView.subarray(0, count * groups), from * groups)
    result.loss.set(new Float32Array(buffer, loss, count), from)
  }
  return { codes: float ? found : new Int8Array(found.buffer), ...result }
}

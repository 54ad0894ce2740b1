import { bytesForOutput } from '../checkpoint/disk-space.ts'
import type { EngineName } from '../engine/engine.ts'
import type { Model, StageSpec } from '../models/architecture.ts'
import { batchTokens } from '../models/batches.ts'
import { UserError } from '../util/errors.ts'
import { formatBytes } from '../util/format-bytes.ts'
import { seeGuide } from '../util/see-guide.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { Plan } from './plan.ts'

/** How much data calibrates. */
export interface RowsShape {
  readonly rows: number
  readonly tokens: number
  /** Tokens of the longest row. */
  readonly length: number
}

/** The shape of token rows. */
export function shapeOf(rows: readonly Int32Array[]): RowsShape {
  return {
    rows: rows.length,
    tokens: rows.reduce((sum, row) => sum + row.length, 0),
    length: rows.reduce((longest, row) => Math.max(longest, row.length), 0),
  }
}

/** What a run takes at its widest stage, in bytes. */
export interface MemoryForecast {
  /** Tensors on the engine. */
  readonly engine: number
  /** All of the process. */
  readonly total: number
  /** The stage that takes it: `model.layers.0 · mlp output`. */
  readonly stage: string
}

/** How a run keeps within memory. */
export interface Placement {
  readonly forecast: MemoryForecast
  /** Whether inputs and hidden states of the rows are in a scratch file, but for those of the batch at hand. */
  readonly parked: boolean
  /** Bytes beside the output while the run goes on: the scratch file, and hidden states to go on from. */
  readonly scratch: number
}

const FLOAT = 4
/** The program, and the wasm engine or none. Measured: 90 to 130 MB. */
const BASE = 150e6
/** TensorFlow's libraries and threads beside. Measured: 300 to 350 MB. */
const TENSORFLOW = 350e6
/** Columns beyond which moments are large. */
const WIDE = 4096
/** What allocators keep and collectors have not come to, where they are. Measured: 0.35 GB of 4.1. */
const LEFTOVERS = 350e6
// A 32-bit WebAssembly memory ends at 4 GiB; past that tfjs fails in the middle of a product.
const WASM_LIMIT = 3.9e9
/** Rows from which one in sixteen is held back. */
const HELD_BACK_ROWS = 16

/** A stage with what it takes to work on it. */
interface StageSizes {
  readonly name: string
  readonly columns: number
  /** Elements of all weights, and of the largest. */
  readonly weights: number
  readonly largest: number
  readonly addsToResidual: boolean
  /** Codes of its layer, one a byte, which are kept to its end. */
  readonly codes: number
}

/**
 * What a walk takes. Between stages every batch holds the stage's input [tokens, columns] and the residual [tokens, hidden]; where the
 * originals go beside, those of both models, and the original outputs that are added to the residual. Of parked rows that is one batch.
 * Everything else is of one stage or one batch. Without rows: what rounding takes.
 */
export function forecastMemory(plan: Plan, shape: RowsShape | null, engine: EngineName | 'none', parked: boolean): MemoryForecast {
  const sizes = stageSizes(plan)
  const forecasts = sizes.map((stage) => ({
    ...(shape ? calibrated(plan, stage, shape, engine, parked) : rounded(stage)),
    stage: stage.name,
  }))
  return forecasts.reduce((most, next) => (next.total > most.total ? next : most))
}

/** Rounding without inputs: the stage's weights, a linear's copies (as stored, scaled, dequantized) and the codes of the layer. */
function rounded({ weights, largest, codes }: StageSizes): Omit<MemoryForecast, 'stage'> {
  return { engine: 0, total: BASE + FLOAT * (weights + 2.25 * largest) + codes }
}

function calibrated(
  plan: Plan,
  { columns, weights, largest, addsToResidual, codes }: StageSizes,
  { rows, tokens, length }: RowsShape,
  engine: EngineName | 'none',
  parked: boolean,
): Omit<MemoryForecast, 'stage'> {
  const { model } = plan.source
  const streams = plan.needs === 'originals' ? 2 : 1
  const batch = Math.min(tokens, batchTokens(length))
  const held = (parked ? batch : tokens) * heldPerToken(plan, columns, addsToResidual)
  // The input turned, the outputs of the stage and what the elementwise operations of the next step make of them.
  const atWork = batch * (2 * columns + 3 * (weights / columns) + 2 * model.hidden)
  const square = plan.secondMoments ? columns ** 2 : 0
  const hessians = rows >= HELD_BACK_ROWS ? 2 : 1
  const targets = streams === 2 ? (hessians + 1) * weights : 0
  // Of a symmetric matrix five eighths are held; the band that is added to on the engine is there twice, beside what is added.
  const moments = 0.625 * hessians * square
  const measuring = moments + 0.5 * square + targets
  const serving = weights + largest
  const onEngine = FLOAT * (held + atWork + Math.max(measuring, serving))
  // Those of rows held back are in the scratch file until a linear is judged.
  const isSetAside = parked && hessians === 2 && streams === 1 && columns > WIDE
  // A block of H, products of some rows with it; the dequantized weight, its error.
  const judging = 0.5 * square + 4 * largest + moments
  const compressing = Math.max(
    judging,
    ...compressSteps(square, largest, streams, engine).map((step) => step + moments / (isSetAside ? 2 : 1)),
  )
  const total = FLOAT * (held + Math.max(atWork + measuring + weights, atWork + 3 * weights, compressing + weights))
  const kept = square > WIDE ** 2 ? LEFTOVERS : 0
  return { engine: onEngine, total: total + codes + BASE + kept + (engine === 'wasm' ? 0 : TENSORFLOW) }
}

/** Floats that the steps of compressing a linear take beside moments and weights, until it is judged. */
function compressSteps(square: number, largest: number, streams: number, engine: EngineName | 'none'): number[] {
  const isTensorflow = engine === 'native' || engine === 'gpu'
  return [
    // The factor takes the place of the damped H; its blocks are on the engine. The kernels compute it in float64.
    isTensorflow ? 1.75 * square : 4 * square,
    // The factor, and H where a target needs it, in memory and on the engine.
    streams === 2 ? 5 * square + 3 * largest : 0,
    // The factor, its upper half on the engine or in the kernels' memory, of the weight what is swept at a time, codes.
    1.5 * square + 1.75 * largest,
    // H in the kernels' memory; the product, codes, what they stand for.
    square + 3.5 * largest,
  ]
}

/** Floats that a token holds between two stages. */
function heldPerToken({ source: { model }, needs }: Plan, columns: number, addsToResidual: boolean): number {
  if (needs !== 'originals') return columns + model.hidden
  return 2 * (columns + model.hidden) + (addsToResidual ? model.hidden : 0)
}

function stageSizes({ source: { model }, linears }: Plan): StageSizes[] {
  const codes = new Map<number, number>()
  for (const { spec, layer, scheme } of linears) if (scheme) codes.set(layer, (codes.get(layer) ?? 0) + spec.rows * spec.columns)
  // Layers that are alike share their stages; a recipe may leave some of them as they are.
  const kinds = new Map<readonly StageSpec[], { layer: number; codes: number }>()
  for (let layer = 0; layer < model.layers; layer++) {
    const known = kinds.get(model.stages(layer))
    kinds.set(model.stages(layer), { layer: known?.layer ?? layer, codes: Math.max(known?.codes ?? 0, codes.get(layer) ?? 0) })
  }
  const stages = [...kinds].flatMap(([own, { layer, codes }]) => own.map((stage) => ({ ...sizesOf(model, stage, layer), codes })))
  const head = model.head()
  if (!linears.some(({ spec, scheme }) => scheme && spec.name === head.name)) return stages
  const weights = head.rows * head.columns
  return [...stages, { name: head.name, columns: head.columns, weights, largest: weights, addsToResidual: false, codes: weights }]
}

function sizesOf(model: Model, { name, linears, addsToResidual }: StageSpec, layer: number): Omit<StageSizes, 'codes'> {
  const names = new Set(linears.map((linear) => `${model.layerName(layer)}.${linear}`))
  const specs = model.linears(layer).filter((spec) => names.has(spec.name))
  const sizes = specs.map(({ rows, columns }) => rows * columns)
  return {
    name: `${model.layerName(layer)} · ${name}`,
    columns: Math.max(...specs.map(({ columns }) => columns)),
    weights: sizes.reduce((sum, size) => sum + size, 0),
    largest: Math.max(...sizes),
    addsToResidual,
  }
}

/**
 * Decides where rows are between stages: in memory where that fits the budget, else in a scratch file. Errors: UserError naming the stage
 * that is too large for the budget or for the engine either way.
 */
export function placeRun(plan: Plan, shape: RowsShape | null, engine: EngineName | 'none', budget: MemoryBudget): Placement {
  const fits = ({ engine: onEngine, total }: MemoryForecast) => total <= budget.bytes && !(engine === 'wasm' && onEngine > WASM_LIMIT)
  const whole = forecastMemory(plan, shape, engine, false)
  if (fits(whole)) return { forecast: whole, parked: false, scratch: shape ? goOnBytes(plan, shape) : 0 }
  const forecast = shape ? forecastMemory(plan, shape, engine, true) : whole
  if (shape && fits(forecast)) return { forecast, parked: true, scratch: goOnBytes(plan, shape) + parkedBytes(plan, shape) }
  const onWasm = engine === 'wasm' && forecast.engine > WASM_LIMIT && forecast.total <= budget.bytes
  const [needed, limit] = onWasm ? [forecast.engine, WASM_LIMIT] : [forecast.total, budget.bytes]
  const whose = onWasm ? 'the wasm engine can hold' : budget.asked ? 'are allowed' : 'are in this machine'
  const advice = onWasm
    ? 'the native engine (llmpress native install)'
    : budget.asked
      ? `--max-memory ${Math.ceil(needed / 1e8) / 10}GB or more`
      : 'a machine with more memory'
  throw new UserError(
    `Cannot compress ${forecast.stage}: it takes about ${formatBytes(needed)} and ${formatBytes(limit)} ${whose}, expected ${advice}.${seeGuide('memory')}`,
  )
}

/** Hidden states to go on from, the last and the next while it is written. */
function goOnBytes({ source: { model }, needs }: Plan, { tokens }: RowsShape): number {
  return 2 * FLOAT * tokens * model.hidden * (needs === 'originals' ? 2 : 1)
}

/** The scratch file: what all tokens hold at the widest stage. */
function parkedBytes(plan: Plan, { tokens }: RowsShape): number {
  const sizes = stageSizes(plan)
  const held = Math.max(...sizes.map(({ columns, addsToResidual }) => heldPerToken(plan, columns, addsToResidual)))
  const widest = Math.max(...sizes.map(({ columns }) => columns))
  return FLOAT * (tokens * held + (plan.secondMoments && widest > WIDE ? 0.625 * widest ** 2 : 0))
}

/** Errors: UserError where the disk of the output has no room for the scratch file beside the checkpoint. */
export async function requireScratch({ output, size }: Plan, { parked, scratch }: Placement): Promise<void> {
  if (!parked) return
  const available = await bytesForOutput(output)
  if (available >= scratch + size.after) return
  throw new UserError(
    `Cannot calibrate in ${output}: ${formatBytes(available)} are free on its disk, expected ${formatBytes(scratch)} for what does not fit in memory beside ${formatBytes(size.after)} for the checkpoint. Take fewer rows (--num-calibration-samples), allow more memory (--max-memory) or choose another output folder.${seeGuide('memory')}`,
  )
}

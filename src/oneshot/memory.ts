import { totalmem } from 'node:os'
import { constrainedMemory } from 'node:process'
import type { EngineName } from '../engine/engine.ts'
import { UserError } from '../util/errors.ts'
import { formatBytes } from '../util/format-bytes.ts'
import type { Plan } from './plan.ts'

/** Bytes that a calibrated run needs at its widest stage. */
export interface MemoryForecast {
  /** Tensors on the engine: what all batches hold between two stages, the stage's weights, its Hessian. */
  readonly engine: number
  /** All of the process: the engine's, and weights, codes and factor beside it. */
  readonly total: number
}

const FLOAT = 4
// A 32-bit WebAssembly memory ends at 4 GiB; past that tfjs fails in the middle of a product. The rest is for a batch's intermediates.
const WASM_LIMIT = 3.6e9

/**
 * What a walk over so many tokens takes. Between stages every batch holds the stage's input [tokens, columns] and the residual
 * [tokens, hidden]; where the originals go beside, those of both models, and the original outputs that are added to the residual.
 * Everything else is of one stage or one batch.
 */
export function forecastMemory({ source: { model }, needs }: Plan, tokens: number): MemoryForecast {
  const originals = needs === 'originals'
  const kinds = new Map(Array.from({ length: model.layers }, (_, layer) => [model.stages(layer), layer]))
  const all = [...kinds].flatMap(([stages, layer]) => stages.map((stage) => ({ ...stage, layer })))
  const sharing = new Set(all.flatMap(({ layer, sharedInput }) => (sharedInput ? [layer] : [])))
  const stages = all.map(({ linears, addsToResidual, layer }) => {
    const names = new Set(linears.map((linear) => `${model.layerName(layer)}.${linear}`))
    const specs = model.linears(layer).filter(({ name }) => names.has(name))
    const columns = Math.max(...specs.map((spec) => spec.columns))
    const weights = specs.reduce((sum, spec) => sum + spec.rows * spec.columns, 0)
    const ahead = originals && addsToResidual ? model.hidden : 0
    const held = (originals ? 2 : 1) * (columns + model.hidden) + ahead
    // Sums of H, of the rows to fit to and of those held back, and the one being added; targets have such sums in the weights' shape.
    const engine = FLOAT * (tokens * held + weights + 3 * columns ** 2 + (originals ? 3 * weights : 0))
    // Beside the engine: the float weight, its permuted, aimed and dequantized copies, W H, codes; H of both kinds of rows, permuted,
    // damped, and U in double and in single.
    // Of the input that experts share, H of both kinds of rows is kept for the next.
    const shared = sharing.has(layer) ? 2 * model.hidden ** 2 : 0
    return { engine, total: engine + FLOAT * ((originals ? 7 : 5) * weights + 8 * columns ** 2 + shared) }
  })
  return { engine: Math.max(...stages.map(({ engine }) => engine)), total: Math.max(...stages.map(({ total }) => total)) }
}

/** Errors: UserError when the forecast exceeds what the engine or the machine has, with the number of rows that would fit. */
export function requireMemory(plan: Plan, rows: number, tokens: number, engine: EngineName): void {
  const forecast = forecastMemory(plan, tokens)
  // All of the machine's, or of the container's: what is free at the moment counts caches as used on some systems.
  const machine = Math.min(totalmem(), constrainedMemory() || Number.POSITIVE_INFINITY)
  const [needed, limit, whose] =
    engine === 'wasm' && forecast.engine > WASM_LIMIT
      ? [forecast.engine, WASM_LIMIT, 'the wasm engine can hold']
      : [forecast.total, machine, 'are in this machine']
  if (needed <= limit) return
  const fixed = forecastMemory(plan, 0)
  const perRow = (forecast.total - fixed.total) / rows
  const fitting = Math.floor((limit - (needed - perRow * rows)) / perRow)
  const advice = fitting > 0 ? `at most ${fitting} rows: --num-calibration-samples ${fitting}` : 'a machine with more memory'
  throw new UserError(
    `Cannot calibrate with ${rows} rows (${tokens} tokens): that takes ${formatBytes(needed)} and ${formatBytes(limit)} ${whose}, expected ${advice}` +
      `${engine === 'wasm' ? ', or the native engine (llmpress native install)' : ''}.`,
  )
}

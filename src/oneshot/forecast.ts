import type { EngineName } from '../engine/engine.ts'
import { measureMatMul } from '../engine/measure.ts'
import { withEngine } from '../engine/with-engine.ts'
import { UserError } from '../util/errors.ts'
import { type CalibrationOptions, defaultLength, defaultRows } from './calibration.ts'
import { countFlops } from './flops.ts'
import { forecastMemory, placeRun, type RowsShape, requireScratch } from './memory.ts'
import { memoryBudget } from './memory-budget.ts'
import type { Plan, PlanOptions } from './plan.ts'

/** What a run will take, before it is started. */
export interface RunForecast {
  /** The rows that it is for, all of full length; null for a recipe that needs no data. */
  readonly rows: RowsShape | null
  readonly engine: EngineName | 'none'
  /** Bytes at the widest stage, which that is, and what the run may take. */
  readonly memory: { readonly bytes: number; readonly stage: string; readonly allowed: number }
  /** Whether rows wait in a scratch file, since they do not fit in memory. */
  readonly parked: boolean
  /** Bytes beside the output while the run goes on. */
  readonly scratch: number
  /** Bytes of the result's tensors. */
  readonly output: number
  /**
   * An estimate of the seconds of compute: counted operations over the measured rate of float32 products, GFLOPS. Null for a recipe that
   * needs no data: such a run multiplies nothing.
   */
  readonly time: { readonly flops: number; readonly gflops: number; readonly seconds: number } | null
}

/**
 * Foretells memory, disk and time of a run; opens the engine and measures it for a moment where the recipe needs data. Errors: UserError for
 * a stage that does not fit in memory, and for a disk without room for the scratch file; as `withEngine`.
 */
export async function forecastRun(
  plan: Plan,
  options: Pick<PlanOptions, 'maxMemory'> &
    Pick<CalibrationOptions, 'numCalibrationSamples' | 'maxSeqLength'> & { engine?: EngineName | 'auto' } = {},
): Promise<RunForecast> {
  const budget = memoryBudget(options.maxMemory)
  const { model } = plan.source
  const rows = plan.needs === 'weights' ? null : rowsOf(plan, options)
  if (rows && rows.length > model.maxPositions)
    throw new UserError(
      `Cannot calibrate with rows of ${rows.length} tokens: the model has ${model.maxPositions} positions, expected a --max-seq-length up to that.`,
    )
  const { engine, gflops } = rows ? await measured(options.engine ?? 'auto') : ({ engine: 'none', gflops: 0 } as const)
  const placement = placeRun(plan, rows, engine, budget)
  await requireScratch(plan, placement)
  const { forecast, parked, scratch } = placement
  const flops = rows ? countFlops(plan, rows) : 0
  return {
    rows,
    engine,
    memory: { bytes: forecast.total, stage: forecast.stage, allowed: budget.bytes },
    parked,
    scratch,
    output: plan.size.after,
    time: rows && { flops, gflops, seconds: flops / (gflops * 1e9) },
  }
}

/** What any rows take: whoever has less memory than for these has too little. */
const LEAST_ROWS: RowsShape = { rows: 1, tokens: 2, length: 2 }

/**
 * Refuses memory that is too little whatever the rows turn out to be and whichever engine opens, before any row is read. Errors: UserError
 * naming the stage, with what it takes for the rows that are asked for.
 */
export function requireMemory(
  plan: Plan,
  options: Pick<PlanOptions, 'maxMemory'> &
    Pick<CalibrationOptions, 'numCalibrationSamples' | 'maxSeqLength'> & { engine?: EngineName | 'auto' },
): void {
  const budget = memoryBudget(options.maxMemory)
  const { engine = 'auto' } = options
  // TensorFlow takes more itself and has smaller copies of wide matrices.
  const engines = engine === 'auto' ? (['wasm', 'native'] as const) : [engine]
  const needsRows = plan.needs !== 'weights'
  const least = engines.map((name) => forecastMemory(plan, needsRows ? LEAST_ROWS : null, name, true).total)
  if (Math.min(...least) <= budget.bytes) return
  placeRun(plan, needsRows ? rowsOf(plan, options) : null, engines[0], budget)
}

function rowsOf({ source: { model }, recipe }: Plan, { numCalibrationSamples, maxSeqLength }: CalibrationOptions): RowsShape {
  const rows = numCalibrationSamples ?? defaultRows(recipe)
  const length = maxSeqLength ?? defaultLength(model)
  return { rows, tokens: rows * length, length }
}

async function measured(engine: EngineName | 'auto'): Promise<{ engine: EngineName; gflops: number }> {
  return withEngine({ engine }, async ({ name }) => ({ engine: name, gflops: await measureMatMul() }))
}

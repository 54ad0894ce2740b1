import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Quantized } from '../../src/checkpoint/layouts/layout.ts'
import type { LinearSpec } from '../../src/models/architecture.ts'
import { allLinears, type OpenModel, openModel, scaleDtypeOf } from '../../src/models/open-model.ts'
import { type OneshotOptions, oneshot } from '../../src/oneshot/oneshot.ts'
import type { RunRecord } from '../../src/report/record.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { oracleFolder, oracleRows } from '../models/oracles.ts'

/** The model that the oracles compress: two layers, hidden 128, bfloat16, tied. */
export const TINY = oracleFolder('tiny')

/** The rows that the reference was calibrated with: 16 of 64 tokens. */
export const CALIBRATION = oracleRows('checkpoints/input_ids.safetensors', 'calibration')

/** Compresses the tiny model on the wasm engine into a folder that is removed after the test. */
export async function runTiny(recipe: string | object, options: Partial<OneshotOptions> = {}): Promise<RunRecord> {
  const output = join(await temporaryFolder(), 'out')
  return oneshot({ model: TINY, recipe, output, dataset: CALIBRATION, engine: 'wasm', threads: 2, numCalibrationSamples: 16, ...options })
}

/** Opens a checkpoint until the end of the test. */
export async function openForTest(folder: string): Promise<OpenModel> {
  const source = await openModel(folder)
  onTestFinished(() => source.close())
  return source
}

/** The compressed linears of a checkpoint with what is stored for them. */
export async function storedLinears(source: OpenModel): Promise<{ spec: LinearSpec; quantized: Quantized }[]> {
  const linears: { spec: LinearSpec; quantized: Quantized }[] = []
  for (const spec of allLinears(source.model)) {
    const stored = source.compressed.get(spec.name)
    if (!stored?.scheme.weights) continue
    const read = (suffix: string) => source.reader.read(`${spec.name}.${suffix}`)
    const dtype = scaleDtypeOf(source.reader, stored.layout, spec.name)
    linears.push({ spec, quantized: await stored.layout.decode(stored.scheme.weights, spec.rows, spec.columns, dtype, read) })
  }
  return linears
}

/** The fraction of elements that are equal. */
export function equalFraction(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let same = 0
  for (let i = 0; i < a.length; i++) if (a[i] === b[i]) same++
  return same / a.length
}

/** A copy of the tiny model with keys of config.json changed. */
export async function tinyWith(config: Readonly<Record<string, unknown>>): Promise<string> {
  const folder = join(await temporaryFolder(), 'tiny')
  await cp(TINY, folder, { recursive: true })
  const path = join(folder, 'config.json')
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), ...config }))
  return folder
}

/** A recipe of one modifier for all linears but lm_head. */
export function recipeOf(modifier: 'QuantizationModifier' | 'GPTQModifier', options: Readonly<Record<string, unknown>>): object {
  return { modifiers: { [modifier]: { ignore: ['lm_head'], ...options } } }
}

/** Vitest's own equality looks at every element as an object: seconds for a weight. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

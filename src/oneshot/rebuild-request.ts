import { join } from 'node:path'
import { isJsonObject, type JsonObject, readJsonFile } from '../checkpoint/json-file.ts'
import type { Method } from '../checkpoint/layouts/layout.ts'
import type { RowMode } from '../data/rows.ts'
import { ENGINES, type EngineName } from '../engine/engine.ts'
import { REPORT_FILE, type RowsWanted } from '../report/record.ts'
import { CheckpointError } from '../util/errors.ts'
import { FORMATS } from './written-format.ts'

/** What a report says of the run that made a checkpoint, as far as the run can be repeated from it. */
export interface RebuildRequest {
  readonly version: string
  readonly model: string
  readonly recipe: string
  readonly format: Method
  readonly seed: number
  /** Null for a run without data. */
  readonly rows: RowsWanted | null
  readonly hashes: { readonly model: string; readonly recipe: string; readonly data: string }
  /** SHA-256 of the model's files, by name; empty where the report has none. */
  readonly sources: ReadonlyMap<string, string>
  /** Null for a run that multiplied nothing. */
  readonly engine: { readonly name: EngineName; readonly detail: string } | null
}

/** Reads the report beside a checkpoint. It came with the files, so every part is checked. Errors: CheckpointError naming what is missing. */
export async function readRebuildRequest(folder: string): Promise<RebuildRequest> {
  const path = join(folder, REPORT_FILE)
  const report = await readJsonFile(path)
  const { name } = object(path, report, 'engine')
  const engine = ENGINES.find((engine) => engine === name)
  return {
    version: text(path, report, 'llmpress'),
    model: text(path, report, 'model'),
    recipe: text(path, object(path, report, 'recipe'), 'text'),
    format: FORMATS.find((format) => format === report.format) ?? 'compressed-tensors',
    seed: whole(path, report, 'seed'),
    rows: report.data === null ? null : rowsOf(path, object(path, object(path, report, 'data'), 'request')),
    hashes: hashesOf(path, object(path, report, 'hashes')),
    sources: sourcesOf(report.sources),
    engine: engine ? { name: engine, detail: text(path, object(path, report, 'engine'), 'detail') } : null,
  }
}

function rowsOf(path: string, request: JsonObject): RowsWanted {
  const { dataset, rows } = request
  const optional = (key: 'datasetConfig' | 'split' | 'textColumn') =>
    request[key] === undefined ? {} : { [key]: text(path, request, key) }
  return {
    dataset: dataset === null ? null : text(path, request, 'dataset'),
    ...optional('datasetConfig'),
    ...optional('split'),
    ...optional('textColumn'),
    ...((rows === 'pack' || rows === 'truncate') && { rows: rows satisfies RowMode }),
    numCalibrationSamples: whole(path, request, 'numCalibrationSamples'),
    maxSeqLength: whole(path, request, 'maxSeqLength'),
  }
}

function hashesOf(path: string, hashes: JsonObject): RebuildRequest['hashes'] {
  return { model: text(path, hashes, 'model'), recipe: text(path, hashes, 'recipe'), data: text(path, hashes, 'data') }
}

function sourcesOf(sources: unknown): Map<string, string> {
  const files = Array.isArray(sources) ? sources.filter(isJsonObject) : []
  return new Map(files.flatMap(({ name, sha256 }) => (typeof name === 'string' && typeof sha256 === 'string' ? [[name, sha256]] : [])))
}

function object(path: string, from: JsonObject, key: string): JsonObject {
  const value = from[key]
  if (isJsonObject(value)) return value
  throw lacking(path, key, 'an object')
}

function text(path: string, from: JsonObject, key: string): string {
  const value = from[key]
  if (typeof value === 'string') return value
  throw lacking(path, key, 'a text')
}

function whole(path: string, from: JsonObject, key: string): number {
  const value = from[key]
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value
  throw lacking(path, key, 'a whole number')
}

function lacking(path: string, key: string, expected: string): CheckpointError {
  return new CheckpointError(`Cannot rebuild from ${path}: found no "${key}", expected ${expected}, as this version writes it.`, {
    file: path,
  })
}

import { existsSync } from 'node:fs'
import { parseRepoId, type RepoId } from '../hub/repo-id.ts'
import type { HubOptions } from '../hub/settings.ts'
import { DataError } from '../util/errors.ts'
import { didYouMean } from '../util/nearest.ts'
import { sampleIndices } from '../util/rng.ts'
import { BUILT_IN_DATASETS, builtInFile } from './built-in.ts'
import { type DataFile, FILE_KINDS, formOf, openDataFile } from './data-file.ts'
import { type DataItem, type ItemForm, plainForm } from './data-item.ts'
import { textPieces } from './file-text.ts'
import { type DatasetPart, type HubDataset, openHubDataset } from './hub-dataset.ts'
import { kindOf } from './kind-of.ts'
import { NAMED_SETS, namedSet } from './named-sets.ts'
import type { Purpose } from './purpose.ts'
import { countRecords, readRecords } from './records.ts'
import type { Dataset, RowMode } from './rows.ts'
import { needsTotal, parseSplit, type SplitSlice, sliceRows } from './split-slice.ts'

/** Where items come from. */
export interface DataSource {
  /** For people and the record: `docs-text (built in)`, the file's path, `4 texts`. */
  readonly name: string
  /** How its documents become rows where nothing else is said; null: conversations one a row, texts packed. */
  readonly rows: RowMode | null
  /** Whether a seed changes the order of `items`, in coarse parts. */
  readonly shuffles: boolean
  /** What is out of the ordinary. */
  readonly warnings: readonly string[]
  /** The items in order; with a seed, parts that can be read alone come in random order. Errors: DataError naming file, line and key. */
  items(seed: number): AsyncIterable<DataItem>
  /** One long text that can be read as far as it is needed, or null. */
  pieces(): AsyncIterable<string> | null
}

/** What data is wanted. */
export interface SourceRequest {
  dataset: Dataset
  /** The key of the item in objects and tables; by default the first that is there of text, messages, conversations and input_ids. */
  column?: string
  /** Which part of a built-in text or a well-known set; `calibration` by default. */
  purpose?: Purpose
  /** The subset of a dataset of the hub: `wikitext-103-raw-v1`. */
  config?: string
  /** The split of a dataset of the hub; by default the one for the purpose, or train. */
  split?: string
  hub?: HubOptions
}

/** Opens what `dataset` names. Errors: DataError. */
export async function openSource(request: SourceRequest): Promise<DataSource> {
  const { dataset, column, purpose = 'calibration' } = request
  requireDataset(dataset)
  const form = plainForm(column ?? null, purpose === 'evaluation')
  if (typeof dataset !== 'string') return listSource(dataset, form)
  const builtIn = builtInFile(dataset, purpose)
  if (builtIn !== null) return fileSource(openDataFile(builtIn), form, `${dataset} (built in)`)
  const hub = existsSync(dataset) || formOf(dataset) ? null : hubPart(request, dataset, purpose)
  if (hub) {
    const source = await openHubDataset(hub.repo, hub.part, request.hub ?? {})
    return hub.slice ? slicedSource(source, hub.form ?? form, hub.rows, hub.slice) : hubSource(source, hub.form ?? form, hub.rows)
  }
  if (existsSync(dataset) || formOf(dataset) || !/^[\w-]+$/.test(dataset)) return fileSource(openDataFile(dataset), form, dataset)
  const known = `the built-in ${BUILT_IN_DATASETS.join(', ')}, the well-known ${NAMED_SETS.join(', ')}, org/name on the hub, or a ${FILE_KINDS} file`
  throw new DataError(
    `Cannot find the dataset "${dataset}": neither a file nor a known name${didYouMean(dataset, [...BUILT_IN_DATASETS, ...NAMED_SETS])}, expected ${known}`,
  )
}

/** What of the hub a name means: a well-known set with its own form, or any other dataset; null for a name that is none. */
function hubPart(
  { column, config, split }: SourceRequest,
  dataset: string,
  purpose: Purpose,
): { repo: RepoId; part: DatasetPart; slice: SplitSlice | null; form: ItemForm | null; rows: RowMode | null } | null {
  const [name, revision] = [dataset.replace(/@.*$/s, ''), /@(.*)$/s.exec(dataset)?.[0] ?? '']
  const set = namedSet(name)
  const repo = parseRepoId(`${set?.repo ?? name}${revision}`, 'dataset')
  if (!repo) return null
  const { split: named, slice } = split === undefined ? { split: null, slice: null } : parseSplit(split)
  if (!set) return { repo, part: { config: config ?? null, split: named ?? 'train', files: null }, slice, form: null, rows: null }
  const wanted = named ?? set.splits[purpose]
  const part = { config: config ?? set.config, split: set.aliases?.[wanted] ?? wanted }
  const form = column === undefined ? set.form : null
  return { repo, part: { ...part, files: set.files?.(part.config, part.split) ?? null }, slice, form, rows: set.rows }
}

function hubSource({ name, files, warnings }: HubDataset, form: ItemForm, rows: RowMode | null): DataSource {
  return {
    name,
    rows,
    shuffles: files.every((file) => formOf(file.name)?.form === 'parquet'),
    warnings,
    async *items(seed) {
      const order = seed === 0 ? files.keys() : sampleIndices(files.length, files.length, seed)
      for (const index of order) yield* fileItems(openDataFile(await files[index].path(), files[index].name), form, seed)
    },
    pieces: () => null,
  }
}

/** Rows of a slice in their order, for any seed: which ones are meant goes by it. */
function slicedSource(dataset: HubDataset, form: ItemForm, rows: RowMode | null, slice: SplitSlice): DataSource {
  const { files } = dataset
  const local = async ({ name, path }: HubDataset['files'][number]) => openDataFile(await path(), name)
  let total: Promise<number> | null = null
  const countAll = async () => {
    let sum = 0
    for (const file of files) sum += await countRecords(await local(file))
    return sum
  }
  return {
    ...hubSource(dataset, form, rows),
    name: dataset.name.replace(/\)$/, `${slice.text})`),
    shuffles: false,
    async *items() {
      total ??= needsTotal(slice) ? countAll() : Promise.resolve(Number.POSITIVE_INFINITY)
      const { start, end } = sliceRows(slice, await total)
      let at = 0
      for (const file of files) {
        if (at >= end) return
        for await (const record of readRecords(await local(file), { columns: form.columns, seed: 0 })) {
          if (at >= end) return
          if (at >= start) yield form.item(record)
          at++
        }
      }
    },
  }
}

function fileSource(file: DataFile, form: ItemForm, name: string): DataSource {
  return {
    name,
    rows: null,
    shuffles: file.form === 'parquet',
    warnings: [],
    items: (seed) => fileItems(file, form, seed),
    pieces: () => (file.form === 'text' ? textPieces(file) : null),
  }
}

async function* fileItems(file: DataFile, form: ItemForm, seed: number): AsyncGenerator<DataItem> {
  for await (const record of readRecords(file, { columns: form.columns, seed })) yield form.item(record)
}

function listSource(list: Exclude<Dataset, string>, { item }: ItemForm): DataSource {
  if (list.length === 0) throw new DataError('Cannot load the data: found an empty list, expected texts, conversations or token rows')
  const [first] = list
  const what = typeof first === 'string' ? 'text' : isConversation(first) ? 'conversation' : 'token row'
  const name = `${list.length} ${what}${list.length === 1 ? '' : 's'}`
  return {
    name,
    rows: null,
    shuffles: false,
    warnings: [],
    async *items() {
      for (const [i, value] of list.entries()) yield item({ value, where: `row ${i} of ${name}` })
    },
    pieces: () => null,
  }
}

function isConversation(value: unknown): boolean {
  return Array.isArray(value) && typeof value[0] === 'object' && value[0] !== null
}

/** Whether `dataset` is a name or path, or a list; what is in a list is checked as it is read. Errors: DataError. */
export function requireDataset(dataset: unknown): asserts dataset is Dataset {
  if (Array.isArray(dataset) || (typeof dataset === 'string' && dataset.trim() !== '')) return
  const what = typeof dataset === 'object' && dataset !== null ? 'an object that is no array' : JSON.stringify(dataset)
  const hint = isIterable(dataset) ? ': put what it gives into an array, [...dataset]' : ''
  throw new DataError(
    `Cannot use the dataset: found ${what ?? kindOf(dataset)}, expected a name, a file, an array of texts, of conversations or of token rows${hint}`,
  )
}

function isIterable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value)
}

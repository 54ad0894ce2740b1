import { existsSync, statSync } from 'node:fs'
import { DataError } from '../util/errors.ts'

/** How a file lays out its data. */
export type FileForm = 'text' | 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet'

/** A file of data, as its name says. */
export interface DataFile {
  readonly path: string
  readonly form: FileForm
  readonly compression: 'gzip' | 'zstd' | null
}

const FORMS: Readonly<Record<string, FileForm>> = {
  '.txt': 'text',
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.json': 'json',
  '.csv': 'csv',
  '.tsv': 'tsv',
  '.parquet': 'parquet',
}

const COMPRESSIONS: Readonly<Record<string, 'gzip' | 'zstd'>> = { '.gz': 'gzip', '.zst': 'zstd' }

export const FILE_KINDS = '.txt, .jsonl, .json, .csv, .tsv or .parquet'

/** The form of a file by the ending of its name, `.jsonl` or `.jsonl.gz`; null for an ending that stands for none. */
export function formOf(name: string): Pick<DataFile, 'form' | 'compression'> | null {
  const [, inner = '', outer = ''] = /(\.[^./\\]+)(\.gz|\.zst)?$/.exec(name.toLowerCase()) ?? []
  const form = Object.hasOwn(FORMS, inner) ? FORMS[inner] : undefined
  return form ? { form, compression: COMPRESSIONS[outer] ?? null } : null
}

/** A local file of data. Errors: DataError when it is none, empty, or of another kind. `path` may differ from `name` in the hub's cache. */
export function openDataFile(path: string, name = path): DataFile {
  // A name such as `data/train.parquet` in the hub's cache is a link to a blob without an ending.
  if (!existsSync(path)) throw new DataError(`Cannot read data from ${path}: there is no such file`)
  const expected = `expected a ${FILE_KINDS} file, as it is or as .gz or .zst`
  const stat = statSync(path)
  if (!stat.isFile())
    throw new DataError(`Cannot read data from ${path}: ${stat.isDirectory() ? 'found a folder' : 'it is not a regular file'}, ${expected}`)
  if (stat.size === 0) throw new DataError(`Cannot read data from ${path}: it is empty`)
  const found = formOf(name)
  if (!found) throw new DataError(`Cannot read data from ${path}: found the ending "${/\.[^./\\]*$/.exec(name)?.[0] ?? ''}", ${expected}`)
  if (found.form === 'parquet' && found.compression)
    throw new DataError(`Cannot read data from ${path}: a .parquet file is read by position and compressed inside, expected it unpacked`)
  return { path, ...found }
}

import {
  type AsyncBuffer,
  asyncBufferFromFile,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { DataError } from '../util/errors.ts'
import { sampleIndices } from '../util/rng.ts'
import type { DataFile } from './data-file.ts'
import type { DataRecord, RecordOptions } from './data-record.ts'

/**
 * The rows of a .parquet file, one row group at a time, of the columns that matter: what is not asked for is not read from the disk. With
 * a seed the row groups come in random order. Errors: DataError for a file that is none or is damaged.
 */
export async function* parquetRecords({ path }: DataFile, { columns, seed }: RecordOptions): AsyncGenerator<DataRecord> {
  const file = await asyncBufferFromFile(path)
  const metadata = await guarded(path, () => parquetMetadataAsync(file))
  const wanted = columns(parquetSchema(metadata).children.map(({ element }) => element.name))
  const starts = groupStarts(metadata)
  const order = seed === 0 ? starts.keys() : sampleIndices(starts.length, starts.length, seed)
  for (const group of order) {
    const start = starts[group]
    const rows = await guarded(path, () => readGroup(file, metadata, start, Number(metadata.row_groups[group].num_rows), wanted))
    for (const [i, value] of rows.entries()) yield { value: plainNumbers(value), where: `${path}, row ${start + i + 1}` }
  }
}

/** The number of a .parquet file's rows, by its end alone. Errors: as `parquetRecords`. */
export async function parquetLength({ path }: DataFile): Promise<number> {
  const file = await asyncBufferFromFile(path)
  return Number((await guarded(path, () => parquetMetadataAsync(file))).num_rows)
}

function groupStarts({ row_groups: groups }: FileMetaData): number[] {
  let next = 0
  return groups.map(({ num_rows: rows }) => {
    const start = next
    next += Number(rows)
    return start
  })
}

function readGroup(file: AsyncBuffer, metadata: FileMetaData, rowStart: number, rows: number, columns: readonly string[] | null) {
  return parquetReadObjects({
    file,
    metadata,
    rowStart,
    rowEnd: rowStart + rows,
    compressors,
    ...(columns && { columns: [...columns] }),
  })
}

/** 64-bit integers arrive as BigInt; token ids are small. */
function plainNumbers(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (value instanceof BigInt64Array || value instanceof Int32Array) return Array.from(value, Number)
  if (Array.isArray(value)) return value.map(plainNumbers)
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plainNumbers(item)]))
}

async function guarded<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    throw new DataError(`Cannot read data from ${path}: ${error instanceof Error ? error.message : error}, expected a whole .parquet file`)
  }
}

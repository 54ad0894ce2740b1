import { DTYPE_BYTES, type DType, elementCount } from '../numerics/dtype.ts'
import { CheckpointError } from '../util/errors.ts'
import { HeaderScanner, HeaderSyntaxError } from './header-scanner.ts'
import type { TensorInfo } from './tensor.ts'

/** A tensor and its bytes in the file: `begin` and `end` count from the start of the file. */
export interface SafetensorsEntry extends TensorInfo {
  begin: number
  end: number
}

/** What a safetensors file says of itself: tensors in the order of their bytes, and free strings. */
export interface SafetensorsHeader {
  entries: SafetensorsEntry[]
  metadata: Record<string, string>
}

/** Bytes before the JSON: its length as a little-endian 64-bit integer. */
export const HEADER_PREFIX = 8
/** The limit of the reference implementation (huggingface/safetensors, MAX_HEADER_SIZE). */
const MAX_HEADER = 100_000_000
/** Far above any model; it only bounds what a hostile list can hold. */
const MAX_DIMENSIONS = 64
const GIT_LFS = 'version '

/**
 * The length of the JSON that follows the first 8 bytes. `prefix` is what could be read of them, `file` names the file in errors.
 * Errors: CheckpointError when the file is too short, or the length exceeds the file or 100 MB.
 */
export function headerLength(prefix: Uint8Array, fileSize: number, file: string): number {
  if (prefix.length < HEADER_PREFIX) throw damaged(file, `the file has ${fileSize} bytes, expected at least ${HEADER_PREFIX}`)
  if (String.fromCharCode(...prefix.subarray(0, HEADER_PREFIX)) === GIT_LFS) {
    throw damaged(file, 'it is a Git LFS pointer, expected the tensors themselves; run "git lfs pull" in the model folder')
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true)
  const most = Math.min(MAX_HEADER, fileSize - HEADER_PREFIX)
  if (length > BigInt(most)) throw damaged(file, `its header claims ${length} bytes, expected at most ${most}`)
  return Number(length)
}

/**
 * Parses and checks the JSON of a header: known types, shapes that fit their bytes, and data that fills the file without gap or overlap.
 * `json` is as long as `headerLength` said. Errors: CheckpointError naming `file` and, where there is one, the tensor.
 */
export function parseHeader(json: Uint8Array, fileSize: number, file: string): SafetensorsHeader {
  const header: SafetensorsHeader = { entries: [], metadata: {} }
  const dataStart = HEADER_PREFIX + json.length
  try {
    const scanner = new HeaderScanner(json)
    scanner.object((name) => {
      if (name === '__metadata__') header.metadata = scanMetadata(scanner)
      else header.entries.push(scanEntry(scanner, name, dataStart, file))
    })
    scanner.end()
  } catch (error) {
    if (error instanceof HeaderSyntaxError) throw damaged(file, `${error.message} in its header`)
    throw error
  }
  header.entries.sort((a, b) => a.begin - b.begin || a.end - b.end)
  checkContiguous(header.entries, dataStart, fileSize, file)
  return header
}

function scanMetadata(scanner: HeaderScanner): Record<string, string> {
  const pairs: [string, string][] = []
  scanner.object((key) => {
    pairs.push([key, scanner.string()])
  })
  return Object.fromEntries(pairs)
}

function scanEntry(scanner: HeaderScanner, name: string, dataStart: number, file: string): SafetensorsEntry {
  let dtype: string | undefined
  let shape: number[] | undefined
  let offsets: number[] | undefined
  scanner.object((key) => {
    if (key === 'dtype') dtype = scanner.string()
    else if (key === 'shape') shape = scanner.integers(MAX_DIMENSIONS)
    else if (key === 'data_offsets') offsets = scanner.integers(2)
    else throw damaged(file, `its header has the key ${quote(key)}, expected dtype, shape or data_offsets`, name)
  })
  if (dtype === undefined || shape === undefined || offsets?.length !== 2) {
    throw damaged(file, 'its header lacks a dtype, a shape or two data_offsets', name)
  }
  if (!isDType(dtype)) throw damaged(file, `its dtype is ${quote(dtype)}, expected one of ${Object.keys(DTYPE_BYTES).join(', ')}`, name)
  const [begin, end] = offsets
  const bytes = elementCount(shape) * DTYPE_BYTES[dtype]
  if (begin > end || end - begin !== bytes || !shape.every(Number.isSafeInteger) || !Number.isSafeInteger(bytes)) {
    throw damaged(file, `its data_offsets are [${begin}, ${end}], expected ${bytes} bytes for ${dtype} [${shape}]`, name)
  }
  return { name, dtype, shape, begin: dataStart + begin, end: dataStart + end }
}

/** Bytes that no tensor owns, or two own, are how a file says one thing to one reader and another to the next. */
function checkContiguous(entries: readonly SafetensorsEntry[], dataStart: number, fileSize: number, file: string): void {
  let at = dataStart
  for (const { name, begin, end } of entries) {
    if (begin !== at) throw damaged(file, `its data begins at byte ${begin}, expected ${at}, where the tensor before it ends`, name)
    at = end
  }
  if (at !== fileSize) throw damaged(file, `its tensors end at byte ${at}, expected ${fileSize}, the file's size; it may be incomplete`)
}

function isDType(dtype: string): dtype is DType {
  return Object.hasOwn(DTYPE_BYTES, dtype)
}

function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}

function damaged(file: string, problem: string, tensor?: string): CheckpointError {
  const subject = tensor === undefined ? file : `${quote(tensor)} of ${file}`
  return new CheckpointError(`Cannot read ${subject}: ${problem}.`, tensor === undefined ? { file } : { file, tensor })
}

/** How a file of some tensors begins, and where each of them goes. */
export interface SafetensorsLayout {
  /** The length and the JSON, padded with spaces to a multiple of 8. */
  header: Uint8Array
  /** In the order of their bytes. */
  entries: SafetensorsEntry[]
  fileSize: number
}

/** Widest first, then as the reference implementation's enum runs backwards: keeps every tensor aligned and files equal to Python's. */
const WRITE_ORDER: readonly DType[] = [
  'U64',
  'I64',
  'F64',
  'F32',
  'U32',
  'I32',
  'BF16',
  'F16',
  'U16',
  'I16',
  'F8_E8M0',
  'F8_E4M3',
  'F8_E5M2',
  'I8',
  'U8',
  'BOOL',
]

/**
 * Lays out a file for `tensors` as the safetensors package for Python does: by type, widest first, then by name, so that torch can view
 * each in place. `metadata` says which framework's conventions the tensors follow. Errors: Error for a name that occurs twice.
 */
export function layOut(tensors: readonly TensorInfo[], metadata: Readonly<Record<string, string>> = { format: 'pt' }): SafetensorsLayout {
  const order = new Map(WRITE_ORDER.map((dtype, at) => [dtype, at]))
  const rank = ({ dtype }: TensorInfo) => order.get(dtype) ?? 0
  const sorted = [...tensors].sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1))
  const relative: SafetensorsEntry[] = []
  let at = 0
  for (const { name, dtype, shape } of sorted) {
    const begin = at
    at += elementCount(shape) * DTYPE_BYTES[dtype]
    relative.push({ name, dtype, shape, begin, end: at })
  }
  const header = encodeHeader(relative, metadata)
  const entries = relative.map((entry) => ({ ...entry, begin: entry.begin + header.length, end: entry.end + header.length }))
  return { header, entries, fileSize: header.length + at }
}

function encodeHeader(entries: readonly SafetensorsEntry[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const keys = new Set(entries.map(({ name }) => name))
  if (keys.size !== entries.length || keys.has('__metadata__')) throw new Error('Cannot lay out a file: two tensors have the same name')
  // Joined by hand: an object literal would put names that look like integers first, and lose `__proto__`.
  const members = entries.map(
    ({ name, dtype, shape, begin, end }) => `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`,
  )
  if (Object.keys(metadata).length > 0) members.unshift(`"__metadata__":${JSON.stringify(metadata)}`)
  const json = Buffer.from(`{${members.join(',')}}`)
  const padded = Math.ceil(json.length / 8) * 8
  const header = new Uint8Array(HEADER_PREFIX + padded).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true)
  header.set(json, HEADER_PREFIX)
  return header
}

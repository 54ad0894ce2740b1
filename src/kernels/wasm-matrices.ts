import { decodeBf16 } from '../numerics/bf16.ts'
import { decodeFourBit, type FourBitType, fourBitValues, unpackFourBit } from '../numerics/bitsandbytes-codes.ts'
import { unpackRows } from '../numerics/int-pack.ts'
import { bytesOf } from '../numerics/view.ts'
import { RunError } from '../util/errors.ts'
import { Arena, sharedMemory } from './arena.ts'
import { fixedPoint } from './fixed-point.ts'
import { CONTROL_BYTES, Lanes } from './lanes.ts'
import { checkMatrix, checkProduct, isTable, type Matrices, type MatrixInput, rowBytes } from './matrices.ts'
import { productColumns } from './tiles.ts'
import { loadModule } from './wasm.ts'

/** Numbers that name the formats on both sides: see assembly/product.ts. */
const FORMATS: Readonly<Record<MatrixInput['format'], number>> = { f32: 0, bf16: 1, int8: 2, int4: 3, nf4: 4, fp4: 5 }
/** Words of a description, and of a job before its list of matrices. */
const DESCRIPTION = 11
const JOB = 12
/** Matrices of a job at most. */
const MOST = 64
/** Weights that a lane takes at a time: some microseconds' work, so that lanes end together. */
const CHUNK = 16_384
/** Tokens of a job at most. */
const TOKENS = 32

/** A matrix in the memory; addresses in bytes. */
interface Held extends Pick<MatrixInput, 'format' | 'rows' | 'columns' | 'groupSize'> {
  readonly at: number
  readonly pitch: number
  readonly data: number
  readonly scale: number
  readonly zero: number
  readonly chunks: number
}

class WasmMatrices implements Matrices {
  readonly name = 'wasm'
  readonly threads: number
  readonly #memory: WebAssembly.Memory
  readonly #arena: Arena
  readonly #job: number
  readonly #lanes: Lanes
  readonly #held: Held[] = []
  /** Where x lies in its forms, and the products. */
  #x = { at: 0, bytes: 0 }
  #out = { at: 0, bytes: 0 }
  /** Where lanes keep the values of a row of NF4 or FP4. */
  #values = { at: 0, bytes: 0 }
  #bytes = 0
  /** Where the tables of NF4 and FP4 lie, once there is a matrix with them. */
  readonly #tables = new Map<FourBitType, number>()

  constructor(module: WebAssembly.Module, threads: number) {
    this.threads = threads
    this.#memory = sharedMemory()
    this.#arena = new Arena(this.#memory, 'hold the weights of the model')
    const control = this.#arena.take(CONTROL_BYTES)
    this.#job = this.#arena.take((JOB + 3 * MOST) * 4)
    new Int32Array(this.#memory.buffer, this.#job, JOB).fill(0)
    this.#lanes = new Lanes(module, this.#memory, 'products', control, this.#job, threads)
  }

  get bytes(): number {
    return this.#bytes
  }

  add(input: MatrixInput): number {
    checkMatrix(input)
    const { format, rows, columns, groupSize } = input
    const padded = Math.ceil(columns / productColumns) * productColumns
    const pitch = rowBytes({ format, columns: padded })
    const step = Math.max(1, Math.floor(CHUNK / padded))
    const at = this.#arena.take(DESCRIPTION * 4)
    const data = this.#arena.take(rows * pitch)
    const scale = input.scale ? this.#put(input.scale) : 0
    const zero = input.zeroPoint ? this.#put(input.zeroPoint) : 0
    const bias = input.bias ? this.#put(input.bias) : 0
    const table = isTable(format) ? this.#table(format) : 0
    const own = rowBytes(input)
    const bytes = new Uint8Array(this.#memory.buffer, data, rows * pitch)
    if (own === pitch) bytes.set(input.data)
    else for (let row = 0; row < rows; row++) bytes.set(input.data.subarray(row * own, (row + 1) * own), row * pitch)
    const blocks = (groupSize === columns ? padded : groupSize) / productColumns
    const groups = columns / groupSize
    const words = new Int32Array(this.#memory.buffer, at, DESCRIPTION)
    words.set([FORMATS[format], rows, pitch, groups, blocks, data, scale, zero, bias, step, table])
    this.#bytes += rows * pitch + (input.scale?.byteLength ?? 0)
    const held = { format, rows, columns, groupSize, at, pitch, data, scale, zero, chunks: Math.ceil(rows / step) }
    return this.#held.push(held) - 1
  }

  multiply(matrices: readonly number[], x: Float32Array, tokens: number): Float32Array[] {
    const chosen = matrices.map((number) => this.#held[number])
    if (chosen.length > MOST) throw new RunError(`Cannot multiply by ${chosen.length} matrices at once, expected ${MOST} at most`)
    checkProduct(chosen, x, tokens)
    const outputs = chosen.map(({ rows }) => new Float32Array(tokens * rows))
    if (chosen.length === 0) return outputs
    const { columns } = chosen[0]
    for (let from = 0; from < tokens; from += TOKENS) {
      const count = Math.min(TOKENS, tokens - from)
      this.#multiply(chosen, x.subarray(from * columns, (from + count) * columns), count, from, outputs)
    }
    return outputs
  }

  values(number: number): Float32Array {
    const { format, rows, columns, groupSize, pitch, data, scale, zero } = this.#held[number]
    const { buffer } = this.#memory
    const own = rowBytes({ format, columns })
    const bytes = new Uint8Array(rows * own)
    for (let row = 0; row < rows; row++) bytes.set(new Uint8Array(buffer, data + row * pitch, own), row * own)
    if (format === 'f32') return new Float32Array(bytes.buffer)
    if (format === 'bf16') return decodeBf16(new Uint16Array(bytes.buffer))
    const out = elementsOf(format, bytes, rows, columns)
    const groups = columns / groupSize
    const scales = new Float32Array(buffer, scale, rows * groups)
    const zeros = zero ? new Int8Array(buffer, zero, rows * groups) : null
    for (let tile = 0, at = 0; tile < scales.length; tile++) {
      const [s, z] = [scales[tile], zeros ? zeros[tile] : 0]
      for (const end = at + groupSize; at < end; at++) out[at] = (out[at] - z) * s
    }
    return out
  }

  async close(): Promise<void> {
    await this.#lanes.close()
  }

  #multiply(chosen: readonly Held[], x: Float32Array, tokens: number, from: number, outputs: readonly Float32Array[]): void {
    const { columns } = chosen[0]
    const width = Math.ceil(columns / productColumns) * productColumns
    const form = tokens * width * 4
    this.#x = this.#room(this.#x, 4 * form + tokens * 4)
    this.#out = this.#room(
      this.#out,
      chosen.reduce((sum, { rows }) => sum + tokens * rows * 4, 0),
    )
    if (chosen.some(({ format }) => isTable(format))) this.#values = this.#room(this.#values, this.threads * width * 4)
    const { buffer } = this.#memory
    const [plain, fixed, split, pairs, units] = [0, 1, 2, 3, 4].map((i) => this.#x.at + i * form)
    const has = (format: MatrixInput['format']) => chosen.some((matrix) => matrix.format === format)
    const [hasFloats, hasBytes, hasNibbles, hasTables] = [has('f32') || has('bf16'), has('int8'), has('int4'), has('nf4') || has('fp4')]
    const unitOf = new Float32Array(buffer, units, tokens)
    for (let token = 0; token < tokens; token++) {
      const own = x.subarray(token * columns, (token + 1) * columns)
      const at = token * width * 4
      if (hasFloats) {
        const floats = new Float32Array(buffer, plain + at, width)
        floats.set(own)
        floats.fill(0, columns)
      }
      if (hasBytes) unitOf[token] = fixedPoint(own, new Int16Array(buffer, fixed + at, 2 * width), false)
      if (hasTables) splitPairs(own, new Float32Array(buffer, pairs + at, width))
      if (hasNibbles) unitOf[token] = fixedPoint(own, new Int16Array(buffer, split + at, 2 * width), true)
    }
    const job = new Int32Array(buffer, this.#job, JOB + 3 * chosen.length)
    let chunks = 0
    let out = this.#out.at
    for (const [i, { at, rows, chunks: own }] of chosen.entries()) {
      job[JOB + 3 * i] = at
      job[JOB + 3 * i + 1] = out
      job[JOB + 3 * i + 2] = chunks
      chunks += own
      out += tokens * rows * 4
    }
    job.set([0, chunks, chosen.length, tokens, plain, fixed, split, width * 4, units, pairs, this.#values.at])
    this.#lanes.run()
    out = this.#out.at
    for (const [i, { rows }] of chosen.entries()) {
      outputs[i].set(new Float32Array(buffer, out, tokens * rows), from * rows)
      out += tokens * rows * 4
    }
  }

  /** The values of a type as four planes of 16 bytes, the lowest byte of each first. */
  #table(type: FourBitType): number {
    const known = this.#tables.get(type)
    if (known !== undefined) return known
    const bytes = new Int8Array(bytesOf(fourBitValues(type)))
    const at = this.#put(Int8Array.from({ length: 64 }, (_, i) => bytes[(i % 16) * 4 + Math.floor(i / 16)]))
    this.#tables.set(type, at)
    return at
  }

  #put(values: Float32Array | Int8Array): number {
    const at = this.#arena.take(values.byteLength)
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    new Uint8Array(this.#memory.buffer, at, values.byteLength).set(bytes)
    return at
  }

  #room(place: { at: number; bytes: number }, bytes: number): { at: number; bytes: number } {
    return bytes <= place.bytes ? place : { at: this.#arena.take(bytes), bytes }
  }
}

/** Codes as numbers, or as the values of their table. */
function elementsOf(format: 'int8' | 'int4' | FourBitType, bytes: Uint8Array<ArrayBuffer>, rows: number, columns: number): Float32Array {
  if (isTable(format)) return decodeFourBit(unpackFourBit(bytes, rows * columns), format)
  return new Float32Array(format === 'int8' ? new Int8Array(bytes.buffer) : unpackRows(new Int32Array(bytes.buffer), rows, columns, 4))
}

/** x in blocks, the elements of even places before those of odd ones, as pairs of codes are unpacked; the last block padded with zeros. */
function splitPairs(x: Float32Array, out: Float32Array): void {
  const half = productColumns / 2
  out.fill(0)
  for (let i = 0; i < x.length; i++) {
    const place = i % productColumns
    out[i - place + (place >> 1) + (place & 1) * half] = x[i]
  }
}

/** Matrices in a WebAssembly memory, with SIMD products in `threads` threads, this one among them. RunError when the module is missing. */
export async function wasmMatrices({ threads }: { threads: number }): Promise<Matrices> {
  return new WasmMatrices(await loadModule(), threads)
}

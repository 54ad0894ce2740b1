import type { SpareMemory } from '../util/spare-memory.ts'

/** Number of 32-bit words that `count` elements of `bits` bits fill. */
export function packedWords(count: number, bits: number): number {
  return Math.ceil((count * bits) / 32)
}

/**
 * Packs signed codes [rows, columns] of `bits` bits (1..8) into words [rows, packedWords(columns, bits)]. Codes are shifted to unsigned
 * (+ 2^(bits-1)); each row is one stream of bits, lowest first, whose elements may straddle words; the rest of the last word is zero.
 * The `weight_packed` of compressed-tensors. The words may lie in `memory`. Errors: RangeError for a code outside -2^(bits-1) .. 2^(bits-1)-1 or a wrong length.
 */
export function packRows(codes: Int8Array, rows: number, columns: number, bits: number, memory?: SpareMemory): Int32Array {
  checkLength('codes', codes.length, rows * columns)
  if (bits === 4 && columns % 8 === 0 && codes.byteOffset % 4 === 0) return packNibbles(codes, memory)
  return pack(codes, rows, columns, bits, { element: 1, row: columns, word: 1, packedRow: packedWords(columns, bits) })
}

/** `packRows` of four bits where rows are whole words: four codes at a time as the bytes of a (little-endian) word. */
function packNibbles(codes: Int8Array, memory?: SpareMemory): Int32Array {
  const quads = new Int32Array(codes.buffer, codes.byteOffset, codes.length >>> 2)
  const bytes = (quads.length >>> 1) * 4
  const words = new Int32Array(memory?.take(bytes) ?? new ArrayBuffer(bytes))
  let outside = 0
  for (let i = 0, from = 0; i < words.length; i++, from += 2) {
    const first = quads[from]
    const second = quads[from + 1]
    // A code fits where the upper five bits of its byte are alike.
    outside |= (first ^ (first << 1)) | (second ^ (second << 1))
    words[i] = joinNibbles(first) | (joinNibbles(second) << 16)
  }
  if ((outside & 0xf0f0f0f0) !== 0) refuseOutside(4)
  return words
}

/** The low halves of four bytes, each with its sign bit flipped (+ 8), side by side. */
function joinNibbles(quad: number): number {
  const flipped = (quad & 0x0f0f0f0f) ^ 0x08080808
  const pairs = (flipped | (flipped >>> 4)) & 0x00ff00ff
  return (pairs | (pairs >>> 8)) & 0xffff
}

/** The inverse of `packRows`: words [rows, packedWords(columns, bits)] to signed codes [rows, columns], which may lie in `memory`. */
export function unpackRows(words: Int32Array, rows: number, columns: number, bits: number, memory?: SpareMemory): Int8Array {
  const packedRow = packedWords(columns, bits)
  checkLength('words', words.length, rows * packedRow)
  if (bits === 4 && columns % 8 === 0) return unpackNibbles(words, memory)
  return unpack(words, rows, columns, bits, { element: 1, row: columns, word: 1, packedRow })
}

/**
 * The inverse of `packNibbles`, by a table of what four nibbles come to: 0.30 ns a code, 0.35 by computing it, and as much again where memory
 * is fresh.
 */
function unpackNibbles(words: Int32Array, memory?: SpareMemory): Int8Array {
  spread ??= Int32Array.from({ length: 2 ** 16 }, (_, half) => spreadNibbles(half))
  const table = spread
  const halves = new Uint16Array(words.buffer, words.byteOffset, words.length * 2)
  const bytes = halves.length * 4
  const quads = new Int32Array(memory?.take(bytes) ?? new ArrayBuffer(bytes))
  for (let i = 0; i < quads.length; i++) quads[i] = table[halves[i]]
  return new Int8Array(quads.buffer)
}

let spread: Int32Array | undefined

/** Four nibbles as bytes, less 8 each. */
function spreadNibbles(half: number): number {
  const pairs = (half | (half << 8)) & 0x00ff00ff
  const quad = (pairs | (pairs << 4)) & 0x0f0f0f0f
  // 8 in the bytes that fall below zero, times 31 makes the five upper bits.
  return (quad & 0x07070707) | Math.imul(~quad & 0x08080808, 31)
}

/** `packRows` along the other dimension: codes [rows, columns] to words [packedWords(rows, bits), columns], for zero points. */
export function packColumns(codes: Int8Array, rows: number, columns: number, bits: number): Int32Array {
  checkLength('codes', codes.length, rows * columns)
  return pack(codes, columns, rows, bits, { element: columns, row: 1, word: columns, packedRow: 1 })
}

/** The inverse of `packColumns`: words [packedWords(rows, bits), columns] to signed codes [rows, columns]. */
export function unpackColumns(words: Int32Array, rows: number, columns: number, bits: number): Int8Array {
  checkLength('words', words.length, packedWords(rows, bits) * columns)
  return unpack(words, columns, rows, bits, { element: columns, row: 1, word: columns, packedRow: 1 })
}

/**
 * `packRows` with the words of a row one below the other: codes [rows, columns] to words [packedWords(columns, bits), rows]. With a weight
 * [out, in] it is the `qweight` of GPTQ files, which is [in, out] packed along its columns.
 */
export function packAcross(codes: Int8Array, rows: number, columns: number, bits: number): Int32Array {
  checkLength('codes', codes.length, rows * columns)
  return pack(codes, rows, columns, bits, { element: 1, row: columns, word: rows, packedRow: 1 })
}

/** The inverse of `packAcross`: words [packedWords(columns, bits), rows] to signed codes [rows, columns]. */
export function unpackAcross(words: Int32Array, rows: number, columns: number, bits: number): Int8Array {
  checkLength('words', words.length, packedWords(columns, bits) * rows)
  return unpack(words, rows, columns, bits, { element: 1, row: columns, word: rows, packedRow: 1 })
}

/**
 * `packColumns` with the words of a column side by side: codes [rows, columns] to words [columns, packedWords(rows, bits)]. With zero points
 * [out, groups] it is the `qzeros` of GPTQ files.
 */
export function packDown(codes: Int8Array, rows: number, columns: number, bits: number): Int32Array {
  checkLength('codes', codes.length, rows * columns)
  return pack(codes, columns, rows, bits, { element: columns, row: 1, word: 1, packedRow: packedWords(rows, bits) })
}

/** The inverse of `packDown`: words [columns, packedWords(rows, bits)] to signed codes [rows, columns]. */
export function unpackDown(words: Int32Array, rows: number, columns: number, bits: number): Int8Array {
  checkLength('words', words.length, packedWords(rows, bits) * columns)
  return unpack(words, columns, rows, bits, { element: columns, row: 1, word: 1, packedRow: packedWords(rows, bits) })
}

/** Steps in the unpacked and the packed array, in elements: from one code or word of a stream to the next, and from stream to stream. */
interface Strides {
  element: number
  row: number
  word: number
  packedRow: number
}

function pack(codes: Int8Array, streams: number, length: number, bits: number, { element, row, word, packedRow }: Strides): Int32Array {
  checkBits(bits)
  const offset = 1 << (bits - 1)
  const words = new Int32Array(streams * packedWords(length, bits))
  let outside = 0
  for (let stream = 0; stream < streams; stream++) {
    let from = stream * row
    let to = stream * packedRow
    let current = 0
    let filled = 0
    for (let i = 0; i < length; i++, from += element) {
      const code = codes[from] + offset
      outside |= code >>> bits
      current |= code << filled
      filled += bits
      if (filled < 32) continue
      words[to] = current
      to += word
      filled -= 32
      current = code >>> (bits - filled)
    }
    if (filled > 0) words[to] = current
  }
  if (outside !== 0) refuseOutside(bits)
  return words
}

function refuseOutside(bits: number): never {
  const offset = 1 << (bits - 1)
  throw new RangeError(`Cannot pack codes: one is outside ${-offset}..${offset - 1}, the range of ${bits} bits`)
}

function unpack(words: Int32Array, streams: number, length: number, bits: number, { element, row, word, packedRow }: Strides): Int8Array {
  checkBits(bits)
  const offset = 1 << (bits - 1)
  const mask = (1 << bits) - 1
  const codes = new Int8Array(streams * length)
  for (let stream = 0; stream < streams; stream++) {
    let from = stream * packedRow
    let to = stream * row
    let used = 0
    for (let i = 0; i < length; i++, to += element) {
      let code = words[from] >>> used
      used += bits
      if (used >= 32) {
        used -= 32
        from += word
        if (used > 0) code |= words[from] << (bits - used)
      }
      codes[to] = (code & mask) - offset
    }
  }
  return codes
}

function checkBits(bits: number): void {
  if (!Number.isInteger(bits) || bits < 1 || bits > 8) throw new RangeError(`Cannot pack ${bits}-bit codes: expected 1 to 8 bits`)
}

function checkLength(what: string, found: number, expected: number): void {
  if (found !== expected) throw new RangeError(`Cannot pack or unpack ${found} ${what}: the shape needs ${expected}`)
}

/** Which of eight neighbouring rows each nibble of a word holds, lowest first: the order of AutoAWQ's GEMM kernels. */
const ORDER = [0, 2, 4, 6, 1, 3, 5, 7]

/**
 * Packs signed 4-bit codes [rows, columns] into words [columns, rows / 8] in AutoAWQ's order: with a weight [out, in] the `qweight` of AWQ
 * files, with zero points [out, groups] their `qzeros`. Codes are shifted to unsigned (+ 8). Errors: RangeError where rows are no
 * multiple of 8, for a wrong length, or a code outside -8..7.
 */
export function packAwq(codes: Int8Array, rows: number, columns: number): Int32Array {
  checkShape(codes.length, rows, columns, rows * columns)
  const width = rows / 8
  const words = new Int32Array(columns * width)
  let outside = 0
  for (let word = 0; word < width; word++) {
    for (let nibble = 0; nibble < 8; nibble++) {
      let from = (8 * word + ORDER[nibble]) * columns
      for (let to = word; to < words.length; to += width, from++) {
        const code = codes[from] + 8
        outside |= code >>> 4
        words[to] |= code << (4 * nibble)
      }
    }
  }
  if (outside !== 0) throw new RangeError('Cannot pack codes: one is outside -8..7, the range of 4 bits')
  return words
}

/** The inverse of `packAwq`: words [columns, rows / 8] to signed codes [rows, columns]. */
export function unpackAwq(words: Int32Array, rows: number, columns: number): Int8Array {
  checkShape(words.length, rows, columns, (rows / 8) * columns)
  const width = rows / 8
  const codes = new Int8Array(rows * columns)
  for (let word = 0; word < width; word++) {
    for (let nibble = 0; nibble < 8; nibble++) {
      let to = (8 * word + ORDER[nibble]) * columns
      for (let from = word; from < words.length; from += width, to++) codes[to] = ((words[from] >>> (4 * nibble)) & 15) - 8
    }
  }
  return codes
}

function checkShape(found: number, rows: number, columns: number, expected: number): void {
  if (rows % 8 !== 0) throw new RangeError(`Cannot pack ${rows} rows: AWQ stores 8 in a word, expected a multiple of 8`)
  if (found !== expected) throw new RangeError(`Cannot pack or unpack ${found} elements: [${rows}, ${columns}] needs ${expected}`)
}

import { decodeBf16 } from '../numerics/bf16.ts'
import { decodeFourBit, unpackFourBit } from '../numerics/bitsandbytes-codes.ts'
import { unpackRows } from '../numerics/int-pack.ts'
import { viewAs } from '../numerics/view.ts'
import { fixedPoint } from './fixed-point.ts'
import { checkMatrix, checkProduct, isTable, type Matrices, type MatrixInput } from './matrices.ts'
import { productColumns, productSegment } from './tiles.ts'

const { fround } = Math

/** A matrix with an element a number: codes less their zero points, or values. */
interface Held extends MatrixInput {
  readonly elements: Float32Array
}

/** `Matrices` in plain TypeScript: what the wasm is held to, byte for byte. */
export function referenceMatrices(): Matrices {
  const held: Held[] = []
  let bytes = 0
  return {
    name: 'reference',
    threads: 1,
    get bytes() {
      return bytes
    },
    add(input) {
      checkMatrix(input)
      bytes += input.data.length
      return held.push({ ...input, elements: elementsOf(input) }) - 1
    },
    multiply(matrices, x, tokens) {
      const chosen = matrices.map((number) => held[number])
      checkProduct(chosen, x, tokens)
      return chosen.map((matrix) => product(matrix, x, tokens))
    },
    values: (number) => {
      const { elements, rows, columns, groupSize, scale } = held[number]
      if (!scale) return elements.slice()
      const groups = columns / groupSize
      return elements
        .map((q, at) => q * scale[Math.floor(at / columns) * groups + Math.floor((at % columns) / groupSize)])
        .slice(0, rows * columns)
    },
    async close() {
      held.length = 0
    },
  }
}

function elementsOf({ format, data, rows, columns, groupSize, zeroPoint }: MatrixInput): Float32Array {
  if (format === 'f32') return viewAs(Float32Array, data).slice()
  if (format === 'bf16') return decodeBf16(viewAs(Uint16Array, data))
  if (isTable(format)) return decodeFourBit(unpackFourBit(data, rows * columns), format)
  const codes = format === 'int8' ? viewAs(Int8Array, data) : unpackRows(viewAs(Int32Array, data), rows, columns, 4)
  const groups = columns / groupSize
  return Float32Array.from(codes, (code, at) => {
    const group = Math.floor(at / columns) * groups + Math.floor((at % columns) / groupSize)
    return code - (zeroPoint?.[group] ?? 0)
  })
}

function product(matrix: Held, x: Float32Array, tokens: number): Float32Array {
  const { rows, columns, bias } = matrix
  const out = new Float32Array(tokens * rows)
  for (let token = 0; token < tokens; token++) {
    const own = x.subarray(token * columns, (token + 1) * columns)
    const fixed = new Int16Array(Math.ceil(columns / productColumns) * productColumns * 2)
    const { scale } = matrix
    const unit = scale && !isTable(matrix.format) ? fixedPoint(own, fixed, false) : 1
    const rowOf = (row: number) => {
      if (scale === null) return floatRow(matrix, row, own)
      return isTable(matrix.format) ? tableRow(matrix, scale, row, own) : fround(unit * integerRow(matrix, scale, row, fixed))
    }
    for (let row = 0; row < rows; row++) {
      const y = rowOf(row)
      out[token * rows + row] = bias ? y + bias[row] : y
    }
  }
  return out
}

function added([a, b, c, d]: Float32Array): number {
  return fround(fround(a + b) + fround(c + d))
}

function floatRow({ columns, elements }: Held, row: number, x: Float32Array): number {
  const parts = new Float32Array(16)
  for (let column = 0; column < columns; column++) parts[column % 16] += fround(elements[row * columns + column] * x[column])
  return folded(parts)
}

function folded(parts: Float32Array): number {
  const fold = (lane: number) => fround(fround(parts[lane] + parts[4 + lane]) + fround(parts[8 + lane] + parts[12 + lane]))
  return added(Float32Array.of(fold(0), fold(1), fold(2), fold(3)))
}

function tableRow({ columns, groupSize, elements }: Held, scale: Float32Array, row: number, x: Float32Array): number {
  const sums = new Float32Array(16)
  const groups = columns / groupSize
  for (let group = 0; group < groups; group++) {
    const parts = new Float32Array(16)
    for (let column = group * groupSize; column < (group + 1) * groupSize; column++)
      parts[(column >> 1) % 16] += fround(elements[row * columns + column] * x[column])
    for (let lane = 0; lane < 16; lane++) sums[lane] += fround(parts[lane] * scale[row * groups + group])
  }
  return folded(sums)
}

function integerRow({ columns, groupSize, format, elements }: Held, scale: Float32Array, row: number, fixed: Int16Array): number {
  const sum = new Float32Array(4)
  const groups = columns / groupSize
  for (let group = 0; group < groups; group++) {
    const part = new Float32Array(4)
    const last = (group + 1) * groupSize
    for (let from = group * groupSize; from < last; from += productSegment) {
      const upper = new Float64Array(4)
      const lower = new Float64Array(4)
      for (let column = from; column < Math.min(last, from + productSegment); column++) {
        // Neighbours that are multiplied at once share a sum: of codes of four bits those of even places, and those of odd ones.
        const lane = ((format === 'int4' ? column >> 1 : column) & 7) >> 1
        const place = column % productColumns
        const at = 2 * (column - place) + place
        upper[lane] += elements[row * columns + column] * fixed[at]
        lower[lane] += elements[row * columns + column] * fixed[at + productColumns]
      }
      for (let lane = 0; lane < 4; lane++) part[lane] += fround(fround(fround(upper[lane]) * 32_768) + fround(lower[lane]))
    }
    for (let lane = 0; lane < 4; lane++) sum[lane] += fround(part[lane] * scale[row * groups + group])
  }
  return added(sum)
}

import { decodeBf16 } from '../numerics/bf16.ts'
import { unpackRows } from '../numerics/int-pack.ts'
import { viewAs } from '../numerics/view.ts'
import { checkMatrix, checkProduct, type Matrices, type MatrixInput } from './matrices.ts'

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
  const codes = format === 'int8' ? viewAs(Int8Array, data) : unpackRows(viewAs(Int32Array, data), rows, columns, 4)
  const groups = columns / groupSize
  return Float32Array.from(codes, (code, at) => {
    const group = Math.floor(at / columns) * groups + Math.floor((at % columns) / groupSize)
    return code - (zeroPoint?.[group] ?? 0)
  })
}

/** Where a column's product goes among the 16 sums: codes of four bits are taken by even places of a block first. */
function placeOf(format: MatrixInput['format'], column: number): number {
  return format === 'int4' ? Math.floor((column % 32) / 2) : column % 16
}

function product({ rows, columns, groupSize, format, elements, scale, bias }: Held, x: Float32Array, tokens: number): Float32Array {
  const out = new Float32Array(tokens * rows)
  const groups = columns / groupSize
  const parts = new Float32Array(16)
  const sum = new Float32Array(4)
  // Within a block of 32 the columns of even places come before the others.
  const order = Int32Array.from({ length: 32 }, (_, i) => (format === 'int4' ? (i % 16) * 2 + Math.floor(i / 16) : i))
  for (let row = 0; row < rows; row++) {
    for (let token = 0; token < tokens; token++) {
      sum.fill(0)
      for (let group = 0; group < groups; group++) {
        parts.fill(0)
        for (let block = group * groupSize; block < (group + 1) * groupSize; block += 32) {
          for (const place of order) {
            const column = block + place
            // Padding adds +0, which changes -0.
            const q = column < columns ? elements[row * columns + column] : 0
            const at = placeOf(format, column)
            parts[at] = parts[at] + fround(q * (column < columns ? x[token * columns + column] : 0))
          }
        }
        const factor = scale ? scale[row * groups + group] : 1
        for (let lane = 0; lane < 4; lane++) {
          const folded = fround(fround(parts[lane] + parts[4 + lane]) + fround(parts[8 + lane] + parts[12 + lane]))
          sum[lane] = scale ? sum[lane] + fround(folded * factor) : folded
        }
      }
      const y = fround(fround(sum[0] + sum[1]) + fround(sum[2] + sum[3]))
      out[token * rows + row] = bias ? y + bias[row] : y
    }
  }
  return out
}

import { describe, expect, test } from 'vitest'
import { type PartialArgs, resolveArgs } from '../../src/schemes/args.ts'
import { findPreset } from '../../src/schemes/presets.ts'
import { minMaxGrid } from '../../src/schemes/qparams.ts'
import { quantizeToGrid } from '../../src/schemes/quantize.ts'
import { bf16, readOracle, toBf16, unpackStream } from './oracle.ts'

const original = readOracle('tiny/model.safetensors')

/** Python's round and torch's: halves to even. */
function halfEven(x: number): number {
  const floor = Math.floor(x)
  if (x - floor !== 0.5) return Math.round(x)
  return floor % 2 === 0 ? floor : floor + 1
}

interface Linear {
  name: string
  weight: Float32Array
  rows: number
  columns: number
  scale: Float32Array
  codes: Int8Array | Uint8Array
  zeroPoint: Int8Array | null
}

function linearsOf(folder: string, bits: number): Linear[] {
  const stored = readOracle(`checkpoints/${folder}/model.safetensors`)
  const get = (name: string) => stored.get(name)?.bytes ?? new Uint8Array()
  return [...stored.keys()]
    .filter((name) => name.endsWith('.weight_scale'))
    .map((key) => {
      const name = key.slice(0, -'.weight_scale'.length)
      const { bytes, shape } = original.get(`${name}.weight`) ?? { bytes: new Uint8Array(), shape: [0, 0] }
      const [rows, columns] = shape
      const packed = stored.get(`${name}.weight_packed`)
      const wordBytes = 4 * Math.ceil((columns * bits) / 32)
      const codes = new Int8Array(rows * columns)
      if (packed) {
        for (let r = 0; r < rows; r++)
          codes.set(unpackStream(packed.bytes.subarray(r * wordBytes, (r + 1) * wordBytes), columns, bits), r * columns)
      }
      const plain = stored.get(`${name}.weight`)
      const found = packed ? codes : plain?.dtype === 'F8_E4M3' ? plain.bytes : new Int8Array(get(`${name}.weight`).buffer)
      return {
        name,
        weight: bf16(bytes),
        rows,
        columns,
        scale: bf16(get(key)),
        codes: found,
        zeroPoint: storedZeroPoints(stored, name, rows, bits),
      }
    })
}

/** Zero points are packed along the rows: one stream per group of columns. */
function storedZeroPoints(stored: ReturnType<typeof readOracle>, name: string, rows: number, bits: number): Int8Array | null {
  const packed = stored.get(`${name}.weight_zero_point`)
  if (!packed) return null
  const [wordRows, groups] = packed.shape
  const words = new Int32Array(packed.bytes.buffer)
  const out = new Int8Array(rows * groups)
  for (let g = 0; g < groups; g++) {
    const column = Int32Array.from({ length: wordRows }, (_, r) => words[r * groups + g])
    unpackStream(new Uint8Array(column.buffer), rows, bits).forEach((zero, r) => {
      out[r * groups + g] = zero
    })
  }
  return out
}

const g = (bits: number, size: number): PartialArgs => ({ num_bits: bits, group_size: size })
const CASES: { folder: string; partial: PartialArgs; equal: number }[] = [
  { folder: 'rtn-w4a16', partial: findPreset('W4A16').weights, equal: 0.996 },
  { folder: 'rtn-w4a16-g32', partial: g(4, 32), equal: 0.99 },
  { folder: 'rtn-w3a16-g64', partial: g(3, 64), equal: 0.996 },
  { folder: 'rtn-w8a16', partial: findPreset('W8A16').weights, equal: 0.939 },
  { folder: 'rtn-w8a8', partial: findPreset('W8A8').weights, equal: 0.941 },
]

/** The fraction of elements that are the same. */
function equalFraction(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let same = 0
  for (let i = 0; i < a.length; i++) if (a[i] === b[i]) same++
  return same / a.length
}

describe('plain rounding against llm-compressor 0.14 on the tiny model', () => {
  test.each(CASES)(
    '$folder: scales are the stored bytes; codes differ only where bfloat16 division rounds twice',
    ({ folder, partial, equal }) => {
      const args = resolveArgs(partial)
      const linears = linearsOf(folder, args.num_bits)
      expect(linears.length).toBe(14)
      const [min, max] = [-(2 ** (args.num_bits - 1)), 2 ** (args.num_bits - 1) - 1]
      let same = 0
      let total = 0
      for (const { weight, rows, columns, scale, codes } of linears) {
        const grid = minMaxGrid(weight, rows, columns, args, 'BF16')
        expect(grid.scale).toEqual(scale)
        expect(grid.zeroPoint).toBeNull()
        const ours = quantizeToGrid(weight, rows, columns, args, grid).codes
        const size = columns / (scale.length / rows)
        const twice = weight.map((w, i) => halfEven(Math.min(max, Math.max(min, toBf16(w / scale[Math.floor(i / size)])))))
        expect(equalFraction(twice, codes)).toBe(1)
        same += equalFraction(ours, codes) * codes.length
        total += codes.length
      }
      expect(same / total).toBeCloseTo(equal, 3)
    },
  )

  test('rtn-w4a16-asym: codes are those of the stored scales and zero points but for bfloat16; ours differ only where bfloat16 does', () => {
    const args = resolveArgs(findPreset('W4A16_ASYM').weights)
    let same = 0
    let total = 0
    let scales = 0
    let groups = 0
    for (const { weight, rows, columns, scale, codes, zeroPoint } of linearsOf('rtn-w4a16-asym', 4)) {
      const size = columns / (scale.length / rows)
      const grid = minMaxGrid(weight, rows, columns, args, 'BF16')
      scales += equalFraction(grid.scale, scale) * scale.length
      groups += scale.length
      const low = scale.map((_, t) => Math.min(0, ...weight.subarray(t * size, (t + 1) * size)))
      const high = scale.map((_, t) => Math.max(0, ...weight.subarray(t * size, (t + 1) * size)))
      const bf16Scale = scale.map((_, t) => toBf16(toBf16(high[t] - low[t]) / 15))
      expect(bf16Scale).toEqual(scale)
      const bf16Zero = low.map((l, t) => halfEven(Math.min(7, Math.max(-8, toBf16(-8 - toBf16(l / scale[t]))))))
      expect(Int8Array.from(bf16Zero)).toEqual(zeroPoint)
      const stored = { ...grid, scale, zeroPoint }
      const ours = quantizeToGrid(weight, rows, columns, args, stored).codes
      const twice = weight.map((w, i) => {
        const t = Math.floor(i / size)
        return halfEven(Math.min(7, Math.max(-8, toBf16(toBf16(w / scale[t]) + bf16Zero[t]))))
      })
      expect(equalFraction(twice, codes)).toBe(1)
      same += equalFraction(ours, codes) * codes.length
      total += codes.length
    }
    // max - min is rounded to bfloat16 by the reference before it is divided.
    expect(scales / groups).toBeCloseTo(0.742, 3)
    expect(same / total).toBeGreaterThan(0.98)
  })

  test('fp8-dynamic: scales are the stored bytes; codes differ only where bfloat16 division rounds twice', () => {
    const args = resolveArgs(findPreset('FP8_DYNAMIC').weights)
    let same = 0
    let total = 0
    for (const { weight, rows, columns, scale, codes } of linearsOf('fp8-dynamic', 8)) {
      const grid = minMaxGrid(weight, rows, columns, args, 'BF16')
      expect(grid.scale).toEqual(scale)
      const ours = quantizeToGrid(weight, rows, columns, args, grid).codes
      const unit = { ...grid, scale: new Float32Array(rows).fill(1) }
      const divided = weight.map((w, i) => toBf16(w / scale[Math.floor(i / columns)]))
      expect(equalFraction(quantizeToGrid(divided, rows, columns, args, unit).codes, codes)).toBe(1)
      same += equalFraction(ours, codes) * codes.length
      total += codes.length
    }
    expect(same / total).toBeCloseTo(0.971, 3)
  })
})

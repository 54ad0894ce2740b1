import { productColumns, productSegment } from '../tiles'

/*
 * y = W x + b for weight matrices that stay in memory, each sum in one order, as the twin does (../reference-matrices.ts). Floats: 16 sums by
 * the column's place, added in pairs. Integers: exact sums of codes times x in fixed point (../fixed-point.ts), its upper and its lower half
 * apart, four of each; as floats times the group's scale; groups in order; last times the scale of x. Codes of a table: its values times x, 16
 * sums by the place of a pair of columns; times the group's scale; groups in order; added in pairs.
 */

/** Fields of a matrix's description, four bytes each: see ../wasm-matrices.ts. */
const FORMAT: usize = 0
const ROWS: usize = 4
/** Bytes from one row to the next. */
const PITCH: usize = 8
const GROUPS: usize = 12
/** Blocks of productColumns in a group. */
const BLOCKS: usize = 16
const DATA: usize = 20
const SCALE: usize = 24
/** 0 for none, as BIAS. */
const ZERO: usize = 28
const BIAS: usize = 32
/** Rows that are taken at a time. */
const STEP: usize = 36
/** The values of 16 codes in float32, as four planes of bytes. */
const TABLE: usize = 40

/** Fields of a job. */
const NEXT: usize = 0
const CHUNKS: usize = 4
const MATRICES: usize = 8
const TOKENS: usize = 12
/** x as float32; in fixed point, the upper halves of a block before the lower; so, with even places first. A token's is `WIDTH` bytes wide. */
const PLAIN: usize = 16
const FIXED: usize = 20
const SPLIT: usize = 24
const WIDTH: usize = 28
/** What the fixed point of each token counts in. */
const UNITS: usize = 32
/** x as float32, in each block the even places first. */
const PAIRS: usize = 36
/** Room for the values of a row of codes, `WIDTH` bytes a lane. */
const VALUES: usize = 40
/** Lanes that have a place there so far. */
const PLACED: usize = 44
/** Then for each matrix its description, where its product goes ([tokens, rows]) and its first chunk. */
const LIST: usize = 48
const ENTRY: usize = 12

/** Which place is this lane's: every lane is an instance of its own, and so has a global of its own. */
let place: i32 = -1

const BLOCK: usize = <usize>productColumns * 4
/** Blocks whose sums fit 32 bits, whatever the codes are. */
const SEGMENT: usize = <usize>productSegment / <usize>productColumns

@inline
function plus(sum: v128, q: v128, x: usize): v128 {
  return f32x4.add(sum, f32x4.mul(q, v128.load(x)))
}

@inline
function folded(a: v128, b: v128, c: v128, d: v128): v128 {
  return f32x4.add(f32x4.add(a, b), f32x4.add(c, d))
}

@inline
function total(x: v128): f32 {
  return f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3))
}

/** Eight codes times the eight parts of x at `x`: four sums of neighbours. */
@inline
function dot(sum: v128, codes: v128, x: usize): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(codes, v128.load(x)))
}

/** What the sums of upper and lower parts come to. */
@inline
function joined(upper: v128, lower: v128): v128 {
  return f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(upper), f32x4.splat(32768)), f32x4.convert_i32x4_s(lower))
}

/** `hasZero` is a constant where it is called, so that the loops are made without zero points too. */
@inline
function int4Row(row: usize, x: usize, scale: usize, zero: usize, groups: usize, blocks: usize, hasZero: bool): f32 {
  let sum = f32x4.splat(0)
  const nibble = i8x16.splat(15)
  for (let group: usize = 0; group < groups; group++) {
    const offset = i8x16.splat(hasZero ? <i8>(8 + load<i8>(zero + group)) : 8)
    let part = f32x4.splat(0)
    for (let left = blocks; left > 0; ) {
      const count = min(left, SEGMENT)
      left -= count
      let upper = i32x4.splat(0)
      let lower = i32x4.splat(0)
      for (const end = row + count * 16; row < end; row += 16, x += BLOCK) {
        const packed = v128.load(row)
        const even = i8x16.sub(v128.and(packed, nibble), offset)
        const odd = i8x16.sub(v128.and(i16x8.shr_u(packed, 4), nibble), offset)
        let codes = i16x8.extend_low_i8x16_s(even)
        upper = dot(upper, codes, x)
        lower = dot(lower, codes, x + 64)
        codes = i16x8.extend_high_i8x16_s(even)
        upper = dot(upper, codes, x + 16)
        lower = dot(lower, codes, x + 80)
        codes = i16x8.extend_low_i8x16_s(odd)
        upper = dot(upper, codes, x + 32)
        lower = dot(lower, codes, x + 96)
        codes = i16x8.extend_high_i8x16_s(odd)
        upper = dot(upper, codes, x + 48)
        lower = dot(lower, codes, x + 112)
      }
      part = f32x4.add(part, joined(upper, lower))
    }
    sum = f32x4.add(sum, f32x4.mul(part, v128.load_splat<f32>(scale + group * 4)))
  }
  return total(sum)
}

@inline
function int8Row(row: usize, x: usize, scale: usize, zero: usize, groups: usize, blocks: usize, hasZero: bool): f32 {
  let sum = f32x4.splat(0)
  for (let group: usize = 0; group < groups; group++) {
    const offset = i16x8.splat(hasZero ? load<i8>(zero + group) : 0)
    let part = f32x4.splat(0)
    for (let left = blocks; left > 0; ) {
      const count = min(left, SEGMENT)
      left -= count
      let upper = i32x4.splat(0)
      let lower = i32x4.splat(0)
      for (const end = row + count * 32; row < end; row += 32, x += BLOCK) {
        let bytes = v128.load(row)
        let codes = i16x8.extend_low_i8x16_s(bytes)
        if (hasZero) codes = i16x8.sub(codes, offset)
        upper = dot(upper, codes, x)
        lower = dot(lower, codes, x + 64)
        codes = i16x8.extend_high_i8x16_s(bytes)
        if (hasZero) codes = i16x8.sub(codes, offset)
        upper = dot(upper, codes, x + 16)
        lower = dot(lower, codes, x + 80)
        bytes = v128.load(row, 16)
        codes = i16x8.extend_low_i8x16_s(bytes)
        if (hasZero) codes = i16x8.sub(codes, offset)
        upper = dot(upper, codes, x + 32)
        lower = dot(lower, codes, x + 96)
        codes = i16x8.extend_high_i8x16_s(bytes)
        if (hasZero) codes = i16x8.sub(codes, offset)
        upper = dot(upper, codes, x + 48)
        lower = dot(lower, codes, x + 112)
      }
      part = f32x4.add(part, joined(upper, lower))
    }
    sum = f32x4.add(sum, f32x4.mul(part, v128.load_splat<f32>(scale + group * 4)))
  }
  return total(sum)
}

/** The lower and upper four of eight bfloat16 as float32: their bits above zeros. */
@inline
function lowerHalves(pairs: v128): v128 {
  return v128.shuffle<i16>(i16x8.splat(0), pairs, 0, 8, 1, 9, 2, 10, 3, 11)
}

@inline
function upperHalves(pairs: v128): v128 {
  return v128.shuffle<i16>(i16x8.splat(0), pairs, 4, 12, 5, 13, 6, 14, 7, 15)
}

@inline
function bf16Row(row: usize, x: usize, pitch: usize): f32 {
  let a = f32x4.splat(0)
  let b = a
  let c = a
  let d = a
  for (const end = row + pitch; row < end; row += 32, x += 64) {
    let pairs = v128.load(row)
    a = plus(a, lowerHalves(pairs), x)
    b = plus(b, upperHalves(pairs), x + 16)
    pairs = v128.load(row, 16)
    c = plus(c, lowerHalves(pairs), x + 32)
    d = plus(d, upperHalves(pairs), x + 48)
  }
  return total(folded(a, b, c, d))
}

@inline
function f32Row(row: usize, x: usize, pitch: usize): f32 {
  let a = f32x4.splat(0)
  let b = a
  let c = a
  let d = a
  for (const end = row + pitch; row < end; row += 64, x += 64) {
    a = plus(a, v128.load(row), x)
    b = plus(b, v128.load(row, 16), x + 16)
    c = plus(c, v128.load(row, 32), x + 32)
    d = plus(d, v128.load(row, 48), x + 48)
  }
  return total(folded(a, b, c, d))
}

/** Bytes of two planes side by side, of the first or the last eight codes. */
@inline
function firstBytes(lower: v128, upper: v128): v128 {
  return v128.shuffle<i8>(lower, upper, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
}

@inline
function lastBytes(lower: v128, upper: v128): v128 {
  return v128.shuffle<i8>(lower, upper, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
}

/** Four float32 of their lower and upper halves. */
@inline
function firstFloats(lower: v128, upper: v128): v128 {
  return v128.shuffle<i16>(lower, upper, 0, 8, 1, 9, 2, 10, 3, 11)
}

@inline
function lastFloats(lower: v128, upper: v128): v128 {
  return v128.shuffle<i16>(lower, upper, 4, 12, 5, 13, 6, 14, 7, 15)
}

@inline
function tableRow(row: usize, x: usize, scale: usize, table: usize, groups: usize, blocks: usize): f32 {
  const nibble = i8x16.splat(15)
  const plane0 = v128.load(table)
  const plane1 = v128.load(table, 16)
  const plane2 = v128.load(table, 32)
  const plane3 = v128.load(table, 48)
  let a = f32x4.splat(0)
  let b = a
  let c = a
  let d = a
  for (let group: usize = 0; group < groups; group++) {
    let p = f32x4.splat(0)
    let q = p
    let r = p
    let s = p
    for (const end = row + blocks * 16; row < end; row += 16) {
      const packed = v128.load(row)
      // The upper halves are columns of even places, the lower ones those of odd places.
      let codes = v128.and(i16x8.shr_u(packed, 4), nibble)
      for (let half = 0; half < 2; half++, x += 64) {
        const byte0 = i8x16.swizzle(plane0, codes)
        const byte1 = i8x16.swizzle(plane1, codes)
        const byte2 = i8x16.swizzle(plane2, codes)
        const byte3 = i8x16.swizzle(plane3, codes)
        let lower = firstBytes(byte0, byte1)
        let upper = firstBytes(byte2, byte3)
        p = plus(p, firstFloats(lower, upper), x)
        q = plus(q, lastFloats(lower, upper), x + 16)
        lower = lastBytes(byte0, byte1)
        upper = lastBytes(byte2, byte3)
        r = plus(r, firstFloats(lower, upper), x + 32)
        s = plus(s, lastFloats(lower, upper), x + 48)
        codes = v128.and(packed, nibble)
      }
    }
    const factor = v128.load_splat<f32>(scale + group * 4)
    a = f32x4.add(a, f32x4.mul(p, factor))
    b = f32x4.add(b, f32x4.mul(q, factor))
    c = f32x4.add(c, f32x4.mul(r, factor))
    d = f32x4.add(d, f32x4.mul(s, factor))
  }
  return total(folded(a, b, c, d))
}

/** What the codes of a row stand for, in the order of `PAIRS`, so that several tokens look them up once. */
function rowValues(row: usize, table: usize, blocks: usize, out: usize): void {
  const nibble = i8x16.splat(15)
  const plane0 = v128.load(table)
  const plane1 = v128.load(table, 16)
  const plane2 = v128.load(table, 32)
  const plane3 = v128.load(table, 48)
  for (const end = row + blocks * 16; row < end; row += 16) {
    const packed = v128.load(row)
    let codes = v128.and(i16x8.shr_u(packed, 4), nibble)
    for (let half = 0; half < 2; half++, out += 64) {
      const byte0 = i8x16.swizzle(plane0, codes)
      const byte1 = i8x16.swizzle(plane1, codes)
      const byte2 = i8x16.swizzle(plane2, codes)
      const byte3 = i8x16.swizzle(plane3, codes)
      let lower = firstBytes(byte0, byte1)
      let upper = firstBytes(byte2, byte3)
      v128.store(out, firstFloats(lower, upper))
      v128.store(out, lastFloats(lower, upper), 16)
      lower = lastBytes(byte0, byte1)
      upper = lastBytes(byte2, byte3)
      v128.store(out, firstFloats(lower, upper), 32)
      v128.store(out, lastFloats(lower, upper), 48)
      codes = v128.and(packed, nibble)
    }
  }
}

/** `tableRow` of values that were looked up. */
@inline
function valuesRow(values: usize, x: usize, scale: usize, groups: usize, blocks: usize): f32 {
  let a = f32x4.splat(0)
  let b = a
  let c = a
  let d = a
  for (let group: usize = 0; group < groups; group++) {
    let p = f32x4.splat(0)
    let q = p
    let r = p
    let s = p
    for (const end = values + blocks * BLOCK; values < end; values += 64, x += 64) {
      p = plus(p, v128.load(values), x)
      q = plus(q, v128.load(values, 16), x + 16)
      r = plus(r, v128.load(values, 32), x + 32)
      s = plus(s, v128.load(values, 48), x + 48)
    }
    const factor = v128.load_splat<f32>(scale + group * 4)
    a = f32x4.add(a, f32x4.mul(p, factor))
    b = f32x4.add(b, f32x4.mul(q, factor))
    c = f32x4.add(c, f32x4.mul(r, factor))
    d = f32x4.add(d, f32x4.mul(s, factor))
  }
  return total(folded(a, b, c, d))
}

/** One row by the kinds of ../wasm-matrices.ts. */
@inline
function product(format: i32, row: usize, x: usize, unit: f32, scale: usize, zero: usize, matrix: usize, pitch: usize): f32 {
  if (format == 0) return f32Row(row, x, pitch)
  if (format == 1) return bf16Row(row, x, pitch)
  const groups = <usize>load<u32>(matrix, GROUPS)
  const blocks = <usize>load<u32>(matrix, BLOCKS)
  if (format > 3) return tableRow(row, x, scale, <usize>load<u32>(matrix, TABLE), groups, blocks)
  if (format == 2) {
    return unit * (zero ? int8Row(row, x, scale, zero, groups, blocks, true) : int8Row(row, x, scale, zero, groups, blocks, false))
  }
  return unit * (zero ? int4Row(row, x, scale, zero, groups, blocks, true) : int4Row(row, x, scale, zero, groups, blocks, false))
}

function chunk(job: usize, matrix: usize, out: usize, index: usize): void {
  const format = load<i32>(matrix, FORMAT)
  const rows = <usize>load<u32>(matrix, ROWS)
  const pitch = <usize>load<u32>(matrix, PITCH)
  const groups = <usize>load<u32>(matrix, GROUPS)
  const data = <usize>load<u32>(matrix, DATA)
  const scale = <usize>load<u32>(matrix, SCALE)
  const zero = <usize>load<u32>(matrix, ZERO)
  const bias = <usize>load<u32>(matrix, BIAS)
  const step = <usize>load<u32>(matrix, STEP)
  const tokens = <usize>load<u32>(job, TOKENS)
  const form = format < 2 ? PLAIN : format == 2 ? FIXED : format == 3 ? SPLIT : PAIRS
  const x = <usize>load<u32>(job + form)
  const units = <usize>load<u32>(job, UNITS)
  const width = <usize>load<u32>(job, WIDTH)
  if (form == PAIRS && tokens > 1 && place < 0) place = atomic.add<i32>(job + PLACED, 1)
  const values = <usize>load<u32>(job, VALUES) + <usize>place * width
  const last = min(rows, (index + 1) * step)
  for (let row = index * step; row < last; row++) {
    const at = data + row * pitch
    const scales = scale + row * groups * 4
    const zeros = zero ? zero + row * groups : 0
    const more: f32 = bias ? load<f32>(bias + row * 4) : 0
    if (form == PAIRS && tokens > 1) {
      const blocks = <usize>load<u32>(matrix, BLOCKS)
      rowValues(at, <usize>load<u32>(matrix, TABLE), groups * blocks, values)
      for (let token: usize = 0; token < tokens; token++) {
        const y = valuesRow(values, x + token * width, scales, groups, blocks)
        store<f32>(out + (token * rows + row) * 4, bias ? y + more : y)
      }
      continue
    }
    for (let token: usize = 0; token < tokens; token++) {
      const y = product(format, at, x + token * width, load<f32>(units + token * 4), scales, zeros, matrix, pitch)
      store<f32>(out + (token * rows + row) * 4, bias ? y + more : y)
    }
  }
}

/** Takes chunks of a job until there is none left; so do all lanes at once. */
export function products(job: usize): void {
  const chunks = load<i32>(job, CHUNKS)
  const matrices = <usize>load<u32>(job, MATRICES)
  for (;;) {
    const taken = atomic.add<i32>(job + NEXT, 1)
    if (taken >= chunks) return
    let entry = job + LIST
    for (let left = matrices; left > 1 && taken >= load<i32>(entry + ENTRY, 8); left--) entry += ENTRY
    chunk(job, load<u32>(entry), load<u32>(entry, 4), taken - load<i32>(entry, 8))
  }
}

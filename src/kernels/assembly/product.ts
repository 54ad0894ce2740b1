import { productColumns, productSegment } from '../tiles'

/*
 * y = W x + b for weight matrices that stay in memory, each sum in one order, as the twin does (../reference-matrices.ts). Floats: 16 sums by
 * the column's place, added in pairs. Integers: exact sums of codes times x in fixed point (../fixed-point.ts), its upper and its lower half
 * apart, four of each; as floats times the group's scale; groups in order; last times the scale of x.
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
/** Then for each matrix its description, where its product goes ([tokens, rows]) and its first chunk. */
const LIST: usize = 36
const ENTRY: usize = 12

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

/** One row by the kinds of ../wasm-matrices.ts. */
@inline
function product(format: i32, row: usize, x: usize, unit: f32, scale: usize, zero: usize, matrix: usize, pitch: usize): f32 {
  if (format == 0) return f32Row(row, x, pitch)
  if (format == 1) return bf16Row(row, x, pitch)
  const groups = <usize>load<u32>(matrix, GROUPS)
  const blocks = <usize>load<u32>(matrix, BLOCKS)
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
  const x = <usize>(format < 2 ? load<u32>(job, PLAIN) : format == 2 ? load<u32>(job, FIXED) : load<u32>(job, SPLIT))
  const units = <usize>load<u32>(job, UNITS)
  const width = <usize>load<u32>(job, WIDTH)
  const last = min(rows, (index + 1) * step)
  for (let row = index * step; row < last; row++) {
    const at = data + row * pitch
    const scales = scale + row * groups * 4
    const zeros = zero ? zero + row * groups : 0
    const more: f32 = bias ? load<f32>(bias + row * 4) : 0
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

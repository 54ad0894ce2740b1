import { productColumns } from '../tiles'

/*
 * y = W x + b for weight matrices that stay in memory. Every sum is taken in one order, as the twin does (../reference-matrices.ts): within a
 * group of columns 16 sums by the column's place in a block, which are added in pairs; groups in order, each times its scale.
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
/** x in the order of the columns, and within each block those of even places first; a token's begins `WIDTH` bytes after the last one's. */
const PLAIN: usize = 16
const SPLIT: usize = 20
const WIDTH: usize = 24
/** Then for each matrix its description, where its product goes ([tokens, rows]) and its first chunk. */
const LIST: usize = 28
const ENTRY: usize = 12

const BLOCK: usize = <usize>productColumns * 4

@inline
function plus(sum: v128, q: v128, x: usize): v128 {
  return f32x4.add(sum, f32x4.mul(q, v128.load(x)))
}

@inline
function low(x: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(x))
}

@inline
function high(x: v128): v128 {
  return f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(x))
}

@inline
function folded(a: v128, b: v128, c: v128, d: v128): v128 {
  return f32x4.add(f32x4.add(a, b), f32x4.add(c, d))
}

@inline
function total(x: v128): f32 {
  return f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1) + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3))
}

/** `hasZero` is a constant where it is called, so that the loops are made without zero points too. */
@inline
function int4Row(row: usize, x: usize, scale: usize, zero: usize, groups: usize, blocks: usize, hasZero: bool): f32 {
  let sum = f32x4.splat(0)
  const nibble = i8x16.splat(15)
  for (let group: usize = 0; group < groups; group++) {
    const offset = i8x16.splat(hasZero ? <i8>(8 + load<i8>(zero + group)) : 8)
    let a = f32x4.splat(0)
    let b = a
    let c = a
    let d = a
    for (const end = row + blocks * 16; row < end; row += 16, x += BLOCK) {
      const packed = v128.load(row)
      const even = i8x16.sub(v128.and(packed, nibble), offset)
      const odd = i8x16.sub(v128.and(i16x8.shr_u(packed, 4), nibble), offset)
      let half = i16x8.extend_low_i8x16_s(even)
      a = plus(a, low(half), x)
      b = plus(b, high(half), x + 16)
      half = i16x8.extend_high_i8x16_s(even)
      c = plus(c, low(half), x + 32)
      d = plus(d, high(half), x + 48)
      half = i16x8.extend_low_i8x16_s(odd)
      a = plus(a, low(half), x + 64)
      b = plus(b, high(half), x + 80)
      half = i16x8.extend_high_i8x16_s(odd)
      c = plus(c, low(half), x + 96)
      d = plus(d, high(half), x + 112)
    }
    sum = f32x4.add(sum, f32x4.mul(folded(a, b, c, d), v128.load_splat<f32>(scale + group * 4)))
  }
  return total(sum)
}

@inline
function int8Row(row: usize, x: usize, scale: usize, zero: usize, groups: usize, blocks: usize, hasZero: bool): f32 {
  let sum = f32x4.splat(0)
  for (let group: usize = 0; group < groups; group++) {
    const offset = i16x8.splat(hasZero ? load<i8>(zero + group) : 0)
    let a = f32x4.splat(0)
    let b = a
    let c = a
    let d = a
    for (const end = row + blocks * 32; row < end; row += 16, x += 64) {
      const codes = v128.load(row)
      let half = i16x8.extend_low_i8x16_s(codes)
      if (hasZero) half = i16x8.sub(half, offset)
      a = plus(a, low(half), x)
      b = plus(b, high(half), x + 16)
      half = i16x8.extend_high_i8x16_s(codes)
      if (hasZero) half = i16x8.sub(half, offset)
      c = plus(c, low(half), x + 32)
      d = plus(d, high(half), x + 48)
    }
    sum = f32x4.add(sum, f32x4.mul(folded(a, b, c, d), v128.load_splat<f32>(scale + group * 4)))
  }
  return total(sum)
}

@inline
function bf16Row(row: usize, x: usize, pitch: usize): f32 {
  let a = f32x4.splat(0)
  let b = a
  let c = a
  let d = a
  const upper = i32x4.splat(0xffff0000)
  for (const end = row + pitch; row < end; row += 32, x += 64) {
    let pairs = v128.load(row)
    a = plus(a, i32x4.shl(i32x4.extend_low_i16x8_u(pairs), 16), x)
    b = plus(b, i32x4.shl(i32x4.extend_high_i16x8_u(pairs), 16), x + 16)
    pairs = v128.load(row, 16)
    c = plus(c, i32x4.shl(i32x4.extend_low_i16x8_u(pairs), 16), x + 32)
    d = plus(d, i32x4.shl(i32x4.extend_high_i16x8_u(pairs), 16), x + 48)
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
function product(format: i32, row: usize, plain: usize, split: usize, scale: usize, zero: usize, matrix: usize, pitch: usize): f32 {
  if (format == 0) return f32Row(row, plain, pitch)
  if (format == 1) return bf16Row(row, plain, pitch)
  const groups = <usize>load<u32>(matrix, GROUPS)
  const blocks = <usize>load<u32>(matrix, BLOCKS)
  if (format == 2) {
    return zero ? int8Row(row, plain, scale, zero, groups, blocks, true) : int8Row(row, plain, scale, zero, groups, blocks, false)
  }
  return zero ? int4Row(row, split, scale, zero, groups, blocks, true) : int4Row(row, split, scale, zero, groups, blocks, false)
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
  const plain = <usize>load<u32>(job, PLAIN)
  const split = <usize>load<u32>(job, SPLIT)
  const width = <usize>load<u32>(job, WIDTH)
  const last = min(rows, (index + 1) * step)
  for (let row = index * step; row < last; row++) {
    const at = data + row * pitch
    const scales = scale + row * groups * 4
    const zeros = zero ? zero + row * groups : 0
    const more: f32 = bias ? load<f32>(bias + row * 4) : 0
    for (let token: usize = 0; token < tokens; token++) {
      const x = token * width
      const y = product(format, at, plain + x, split + x, scales, zeros, matrix, pitch)
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

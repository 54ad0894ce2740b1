import { refineColumns, refineDepth, refineRows } from '../tiles'

/*
 * H c for every group of codes alone, for a strip of rows: register tiles of 4 rows x 8 columns. Each sum takes its columns in order, one
 * float32 product and one float32 sum at a time, as the twin does (../reference-refine.ts).
 */

const ROWS: usize = refineRows
/** Bytes of one row of a packed panel of H. */
const PANEL: usize = <usize>refineColumns * 4
/** Rows of H packed at a time. */
const DEPTH: usize = refineDepth
/** Bytes of 8 columns. */
const TILE: usize = 32

@inline
function more(sum: v128, c: v128, h: v128): v128 {
  return f32x4.add(sum, f32x4.mul(c, h))
}

/** 4 rows x 8 columns of sums at `out`, rows `pitch` bytes apart; codes of the 4 rows from `codes` on, `width` bytes apart. */
@inline
function tile(codes: usize, width: usize, panel: usize, out: usize, pitch: usize, depth: usize, fresh: bool): void {
  const row1 = out + pitch
  const row2 = row1 + pitch
  const row3 = row2 + pitch
  let a0 = f32x4.splat(0)
  let b0 = a0
  let a1 = a0
  let b1 = a0
  let a2 = a0
  let b2 = a0
  let a3 = a0
  let b3 = a0
  if (!fresh) {
    a0 = v128.load(out)
    b0 = v128.load(out, 16)
    a1 = v128.load(row1)
    b1 = v128.load(row1, 16)
    a2 = v128.load(row2)
    b2 = v128.load(row2, 16)
    a3 = v128.load(row3)
    b3 = v128.load(row3, 16)
  }
  let c1 = codes + width
  let c2 = c1 + width
  let c3 = c2 + width
  // Not unrolled: V8 would bring all loads forward and have no registers left for the sums.
  for (const end = codes + depth * 4; codes < end; codes += 4, c1 += 4, c2 += 4, c3 += 4, panel += PANEL) {
    const h0 = v128.load(panel)
    const h1 = v128.load(panel, 16)
    let x = v128.load_splat<f32>(codes)
    a0 = more(a0, x, h0)
    b0 = more(b0, x, h1)
    x = v128.load_splat<f32>(c1)
    a1 = more(a1, x, h0)
    b1 = more(b1, x, h1)
    x = v128.load_splat<f32>(c2)
    a2 = more(a2, x, h0)
    b2 = more(b2, x, h1)
    x = v128.load_splat<f32>(c3)
    a3 = more(a3, x, h0)
    b3 = more(b3, x, h1)
  }
  v128.store(out, a0)
  v128.store(out, b0, 16)
  v128.store(row1, a1)
  v128.store(row1, b1, 16)
  v128.store(row2, a2)
  v128.store(row2, b2, 16)
  v128.store(row3, a3)
  v128.store(row3, b3, 16)
}

/**
 * parts [rows, groups, width] from codes [rows, width] and H, whose rows are `pitch` bytes apart; `width` in bytes. `rows` is a multiple of
 * refineRows; `panel`: scratch for a packed part of H.
 */
export function partsOf(
  codes: usize,
  hessian: usize,
  parts: usize,
  panel: usize,
  rows: usize,
  groups: usize,
  groupSize: usize,
  width: usize,
  pitch: usize,
): void {
  for (let group: usize = 0; group < groups; group++) {
    const last = (group + 1) * groupSize
    for (let top = group * groupSize; top < last; top += DEPTH) {
      const depth = min(DEPTH, last - top)
      for (let column: usize = 0; column < width; column += PANEL) {
        const bytes = min(PANEL, width - column)
        let from = hessian + top * pitch + column
        for (let to = panel, end = panel + depth * PANEL; to < end; to += PANEL, from += pitch) {
          for (let at: usize = 0; at < bytes; at += TILE) {
            v128.store(to + at, v128.load(from + at))
            v128.store(to + at, v128.load(from + at, 16), 16)
          }
        }
        for (let row: usize = 0; row < rows; row += ROWS) {
          const c = codes + row * width + top * 4
          const out = parts + (row * groups + group) * width + column
          for (let at: usize = 0; at < bytes; at += TILE) tile(c, width, panel + at, out + at, groups * width, depth, top == group * groupSize)
        }
      }
    }
  }
}

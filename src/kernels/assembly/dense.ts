import { panelColumns, panelDepth, tileRows } from '../tiles'
import { tile } from './tile'

/*
 * Products of plain float32 matrices, by several lanes at once. Each sum takes its terms in order, one float32 product and one float32 sum
 * at a time, so that the result depends neither on lanes nor on how the matrices are cut.
 */

/** Bytes of one row of a packed panel of b. */
const PANEL: usize = <usize>panelColumns * 4
const WIDTH: usize = panelColumns
const MOST: usize = panelDepth
const HEIGHT: usize = tileRows
/** Bytes of 8 columns, which a register tile has. */
const TILE: usize = 32

// Words of a job, see ../dense.ts.
const NEXT = 0
const CHUNKS = 4
const ENTERED = 8
const ROWS = 12
const COLUMNS = 16
const DEPTH = 20
const A = 24
const B = 28
const OUT = 32
const TRANSPOSED = 36
const BLOCK = 40
const PANELS = 44

/** Rows `top` on of b, `depth` of them, and of each the columns from `column` on: zero beyond the last. `pitch`: bytes of a row of b. */
function pack(b: usize, pitch: usize, top: usize, depth: usize, column: usize, columns: usize, panel: usize): void {
  const count = min(WIDTH, columns - column)
  let from = b + top * pitch + column * 4
  for (let to = panel, end = panel + depth * PANEL; to < end; to += PANEL, from += pitch) {
    if (count < WIDTH) memory.fill(to, 0, PANEL)
    memory.copy(to, from, count * 4)
  }
}

/** `pack` of b given as its transpose: column j of b is row j there. `pitch`: bytes of such a row. */
function packTransposed(b: usize, pitch: usize, top: usize, depth: usize, column: usize, columns: usize, panel: usize): void {
  const count = min(WIDTH, columns - column)
  if (count < WIDTH) memory.fill(panel, 0, depth * PANEL)
  const whole = depth & ~3
  let j: usize = 0
  for (; j + 4 <= count; j += 4) {
    const from = b + (column + j) * pitch + top * 4
    const to = panel + j * 4
    for (let i: usize = 0; i < whole; i += 4) {
      const r0 = v128.load(from + i * 4)
      const r1 = v128.load(from + pitch + i * 4)
      const r2 = v128.load(from + pitch * 2 + i * 4)
      const r3 = v128.load(from + pitch * 3 + i * 4)
      const l0 = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5)
      const l1 = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5)
      const h0 = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7)
      const h1 = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7)
      const out = to + i * PANEL
      v128.store(out, v128.shuffle<i64>(l0, l1, 0, 2))
      v128.store(out + PANEL, v128.shuffle<i64>(l0, l1, 1, 3))
      v128.store(out + PANEL * 2, v128.shuffle<i64>(h0, h1, 0, 2))
      v128.store(out + PANEL * 3, v128.shuffle<i64>(h0, h1, 1, 3))
    }
    for (let i = whole; i < depth; i++) {
      for (let c: usize = 0; c < 4; c++) store<f32>(to + i * PANEL + c * 4, load<f32>(from + c * pitch + i * 4))
    }
  }
  for (; j < count; j++) {
    const from = b + (column + j) * pitch + top * 4
    for (let i: usize = 0; i < depth; i++) store<f32>(panel + i * PANEL + j * 4, load<f32>(from + i * 4))
  }
}

/** Rows `from` to `to` of out = a b, a multiple of 4 of them, in one panel of columns. */
function block(job: usize, panel: usize, column: usize, from: usize, to: usize): void {
  const columns = <usize>load<u32>(job, COLUMNS)
  const depth = <usize>load<u32>(job, DEPTH)
  const b = <usize>load<u32>(job, B)
  const transposed = load<i32>(job, TRANSPOSED) != 0
  const width = depth * 4
  const pitch = ((columns + 7) & ~7) * 4
  const bytes = min(PANEL, pitch - column * 4)
  for (let top: usize = 0; top < depth; top += MOST) {
    const count = min(MOST, depth - top)
    if (transposed) packTransposed(b, width, top, count, column, columns, panel)
    else pack(b, columns * 4, top, count, column, columns, panel)
    let a = <usize>load<u32>(job, A) + from * width + top * 4
    let out = <usize>load<u32>(job, OUT) + from * pitch + column * 4
    for (let row = from; row < to; row += HEIGHT, a += HEIGHT * width, out += HEIGHT * pitch) {
      for (let at: usize = 0; at < bytes; at += TILE) tile(a, width, panel + at, out + at, pitch, count, top == 0)
    }
  }
}

/** Takes chunks of a job until there is none left; so do all lanes at once. A chunk is some rows of one panel of columns. */
export function dense(job: usize): void {
  const chunks = load<i32>(job, CHUNKS)
  const panels = (<usize>load<u32>(job, COLUMNS) + WIDTH - 1) / WIDTH
  const rows = (<usize>load<u32>(job, ROWS) + HEIGHT - 1) & ~(HEIGHT - 1)
  const some = <usize>load<u32>(job, BLOCK)
  const own = <usize>load<u32>(job, PANELS) + <usize>atomic.add<i32>(job + ENTERED, 1) * (MOST * PANEL)
  for (;;) {
    const taken = atomic.add<i32>(job + NEXT, 1)
    if (taken >= chunks) return
    const from = (<usize>taken / panels) * some
    block(job, own, (<usize>taken % panels) * WIDTH, from, min(rows, from + some))
  }
}

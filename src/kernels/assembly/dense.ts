import { panelColumns, panelDepth, tileRows } from '../tiles'
import { tile } from './tile'
import { transpose } from './transpose'

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
  transpose(b + column * pitch + top * 4, pitch, count, depth, panel, PANEL)
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

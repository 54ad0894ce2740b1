import { panelColumns, panelDepth, tileRows } from '../tiles'
import { tile } from './tile'

/*
 * H c for every group of codes alone, for a strip of rows: register tiles of 4 rows x 8 columns. Each sum takes its columns in order, one
 * float32 product and one float32 sum at a time, as the twin does (../reference-refine.ts).
 */

const ROWS: usize = tileRows
/** Bytes of one row of a packed panel of H. */
const PANEL: usize = <usize>panelColumns * 4
/** Rows of H packed at a time. */
const DEPTH: usize = panelDepth
/** Bytes of 8 columns. */
const TILE: usize = 32

/**
 * parts [rows, groups, width] from codes [rows, width] and H, whose rows are `pitch` bytes apart; `width` in bytes. `rows` is a multiple of
 * tileRows; `panel`: scratch for a packed part of H.
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

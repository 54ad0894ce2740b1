import { panelColumns } from '../tiles'

/*
 * The register tile of products: 8 sums of four columns, which leaves registers for the factors.
 */

/** Bytes of one row of a packed panel. */
const PANEL: usize = <usize>panelColumns * 4

@inline
function more(sum: v128, x: v128, y: v128): v128 {
  return f32x4.add(sum, f32x4.mul(x, y))
}

/**
 * 4 rows x 8 columns of sums at `out`, rows `pitch` bytes apart: from zero if `fresh`, else from what is there, plus the products of `depth`
 * columns of the left factor, whose 4 rows are `width` bytes apart from `left` on, with as many rows of a packed panel. Each sum takes its
 * products in order, one float32 product and one float32 sum at a time.
 */
@inline
export function tile(left: usize, width: usize, panel: usize, out: usize, pitch: usize, depth: usize, fresh: bool): void {
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
  let c1 = left + width
  let c2 = c1 + width
  let c3 = c2 + width
  // Not unrolled: V8 would bring all loads forward and have no registers left for the sums.
  for (const end = left + depth * 4; left < end; left += 4, c1 += 4, c2 += 4, c3 += 4, panel += PANEL) {
    const h0 = v128.load(panel)
    const h1 = v128.load(panel, 16)
    let x = v128.load_splat<f32>(left)
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

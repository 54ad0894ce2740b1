/** Columns that are taken of all rows before the next: as many streams of writing as a first-level cache has room for. */
const STREAMS: usize = 8

/**
 * Writes the transpose of a matrix of float32, `rows` rows of `columns` from `from` on, `pitch` bytes apart: column j becomes row j at `to`, rows
 * `outPitch` bytes apart.
 */
export function transpose(from: usize, pitch: usize, rows: usize, columns: usize, to: usize, outPitch: usize): void {
  for (let left: usize = 0; left < columns; left += STREAMS) {
    const end = min(columns, left + STREAMS)
    let row: usize = 0
    for (; row + 4 <= rows; row += 4) {
      let column = left
      let at = from + row * pitch + left * 4
      let out = to + left * outPitch + row * 4
      for (; column + 4 <= end; column += 4, at += 16, out += 4 * outPitch) square(at, pitch, out, outPitch)
      for (; column < end; column++, at += 4, out += outPitch) {
        for (let i: usize = 0; i < 4; i++) store<f32>(out + i * 4, load<f32>(at + i * pitch))
      }
    }
    for (; row < rows; row++) {
      for (let column = left; column < end; column++) {
        store<f32>(to + column * outPitch + row * 4, load<f32>(from + row * pitch + column * 4))
      }
    }
  }
}

/** 4 rows of 4 columns. */
@inline
function square(from: usize, pitch: usize, to: usize, outPitch: usize): void {
  const r0 = v128.load(from)
  const r1 = v128.load(from + pitch)
  const r2 = v128.load(from + pitch * 2)
  const r3 = v128.load(from + pitch * 3)
  const l0 = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5)
  const l1 = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5)
  const h0 = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7)
  const h1 = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7)
  v128.store(to, v128.shuffle<i64>(l0, l1, 0, 2))
  v128.store(to + outPitch, v128.shuffle<i64>(l0, l1, 1, 3))
  v128.store(to + outPitch * 2, v128.shuffle<i64>(h0, h1, 0, 2))
  v128.store(to + outPitch * 3, v128.shuffle<i64>(h0, h1, 1, 3))
}

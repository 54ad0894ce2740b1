import { panelColumns, panelDepth, tileRows } from '../tiles'
import { formatOf, nearestFloat, patternOf } from './floats'
import { partsOf } from './parts'
import { choleskySolve, pitchOf } from './solve'
import { toStored } from './stored'

/*
 * Least-squares scales and coordinate descent by turns, row by row: the operations of the twin (../reference-refine.ts). H c of every group
 * is found once for a strip of rows and then kept up with the codes that change, which are few; where scales stay it is not needed. Groups
 * are padded to a multiple of 4 columns and rows to `width`, with H, c and w zero there and a diagonal of 1: nothing comes of those. Codes
 * are integers where C is i32, floats without zero points where it is f32.
 */

/** float32 numbers below 2^22 in size lose their fraction, half to even, when this is added. In memory: see power.ts. */
const INTEGER = memory.data<f32>([12582912])

/** Σ a b in float64: sums of every fourth term, then (0 + 2) + (1 + 3). `length` is in bytes. */
function dot(a: usize, b: usize, length: usize): f64 {
  let low = f64x2.splat(0)
  let high = f64x2.splat(0)
  for (const end = a + length; a < end; a += 16, b += 16) {
    const x = v128.load(a)
    const y = v128.load(b)
    low = f64x2.add(low, f64x2.mul(f64x2.promote_low_f32x4(x), f64x2.promote_low_f32x4(y)))
    const x2 = f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 1))
    const y2 = f64x2.promote_low_f32x4(v128.shuffle<i64>(y, y, 1, 1))
    high = f64x2.add(high, f64x2.mul(x2, y2))
  }
  const sum = f64x2.add(low, high)
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1)
}

/** y -= a x; `width` is in bytes, a multiple of 32. */
@inline
function subtract(y: usize, a: f32, x: usize, width: usize): void {
  const factor = f32x4.splat(a)
  for (const end = y + width; y < end; y += 32, x += 32) {
    v128.store(y, f32x4.sub(v128.load(y), f32x4.mul(factor, v128.load(x))))
    v128.store(y, f32x4.sub(v128.load(y, 16), f32x4.mul(factor, v128.load(x, 16))), 16)
  }
}

/** y less the sum of a_g x_g, one after the other, in one pass; x [count, width] of `width` bytes, a multiple of 32, a [count] float32. */
@inline
function subtractAll(y: usize, a: usize, x: usize, count: usize, width: usize): void {
  const last = a + count * 4
  for (const end = y + width; y < end; y += 32, x += 32) {
    let y0 = v128.load(y)
    let y1 = v128.load(y, 16)
    for (let at = a, from = x; at < last; at += 4, from += width) {
      const factor = v128.load_splat<f32>(at)
      y0 = f32x4.sub(y0, f32x4.mul(factor, v128.load(from)))
      y1 = f32x4.sub(y1, f32x4.mul(factor, v128.load(from, 16)))
    }
    v128.store(y, y0)
    v128.store(y, y1, 16)
  }
}

/** product -= step h and part += delta h in one pass. */
@inline
function follow(product: usize, step: f32, part: usize, delta: f32, h: usize, width: usize): void {
  const s = f32x4.splat(step)
  const d = f32x4.splat(delta)
  for (const end = product + width; product < end; product += 32, part += 32, h += 32) {
    const h0 = v128.load(h)
    const h1 = v128.load(h, 16)
    v128.store(product, f32x4.sub(v128.load(product), f32x4.mul(s, h0)))
    v128.store(product, f32x4.sub(v128.load(product, 16), f32x4.mul(s, h1)), 16)
    v128.store(part, f32x4.add(v128.load(part), f32x4.mul(d, h0)))
    v128.store(part, f32x4.add(v128.load(part, 16), f32x4.mul(d, h1)), 16)
  }
}

function usable(value: f64, old: f32, dtype: i32): f32 {
  const ratio = value / <f64>old
  if (!(ratio >= 0.5 && ratio <= 2)) return old
  const stored = toStored(<f32>value, dtype)
  return stored != 0 && Mathf.abs(stored) < Infinity ? stored : old
}

/**
 * Whether new scales were found and kept. `matrix`: A, `factor`: a copy to use up, `right`: r, `moved`: the solution, then how far scales
 * move.
 */
function refit(
  matrix: usize,
  factor: usize,
  right: usize,
  moved: usize,
  codes: usize,
  product: usize,
  parts: usize,
  scale: usize,
  groups: usize,
  group: usize,
  width: usize,
  dtype: i32,
): bool {
  const pitch = pitchOf(groups)
  for (let g: usize = 0; g < groups; g++) {
    for (let h = g; h < groups; h++) {
      store<f64>(matrix + g * pitch + h * 8, dot(codes + h * group, parts + g * width + h * group, group))
    }
    store<f64>(right + g * 8, dot(codes + g * group, product + g * group, group))
  }
  memory.copy(factor, matrix, groups * pitch)
  memory.copy(moved, right, groups * 8)
  if (!choleskySolve(factor, moved, groups)) return false
  for (let g: usize = 0; g < groups; g++) {
    const old = load<f32>(scale + g * 4)
    store<f64>(moved + g * 8, <f64>usable(<f64>old + load<f64>(moved + g * 8), old, dtype) - <f64>old)
  }
  let gain: f64 = 0
  for (let g: usize = 0; g < groups; g++) {
    let sum: f64 = 0
    for (let h = g + 1; h < groups; h++) sum += load<f64>(matrix + g * pitch + h * 8) * load<f64>(moved + h * 8)
    const step = load<f64>(moved + g * 8)
    gain += step * (2 * (load<f64>(right + g * 8) - sum) - load<f64>(matrix + g * (pitch + 8)) * step)
  }
  if (!(gain > 0)) return false
  for (let g: usize = 0; g < groups; g++) {
    // New and old are within a factor of two of each other, so their difference is a float32.
    const step = <f32>load<f64>(moved + g * 8)
    store<f32>(right + g * 4, step)
    store<f32>(scale + g * 4, load<f32>(scale + g * 4) + step)
  }
  subtractAll(product, right, parts, groups, width)
  return true
}

@inline
function wanted<C>(c: v128, p: v128, d: v128, s: v128, min: v128, max: v128, format: usize): v128 {
  const code = f32x4.pmin(f32x4.pmax(f32x4.add(c, f32x4.div(p, f32x4.mul(d, s))), min), max)
  if (isFloat<C>()) return nearestFloat(code, format)
  const integer = v128.load_splat<f32>(INTEGER)
  return f32x4.sub(f32x4.add(code, integer), integer)
}

/**
 * One sweep over the codes of a group; `last`: `part` need not follow. Whether a code changed. Four codes are asked at once: mostly none
 * changes.
 */
function descend<C>(
  codes: usize,
  product: usize,
  part: usize,
  hessian: usize,
  diagonal: usize,
  column: usize,
  group: usize,
  width: usize,
  pitch: usize,
  scale: f32,
  least: f32,
  most: f32,
  format: usize,
  last: bool,
): bool {
  const s = f32x4.splat(scale)
  const min = f32x4.splat(least)
  const max = f32x4.splat(most)
  let changed = false
  for (let at = column; at < column + group; at += 16) {
    const c = v128.load(codes + at)
    const d = v128.load(diagonal + at)
    let delta = f32x4.sub(wanted<C>(c, v128.load(product + at), d, s, min, max, format), c)
    let mask = i32x4.bitmask(f32x4.gt(f32x4.abs(delta), f32x4.splat(0)))
    while (mask) {
      changed = true
      const lane = <usize>ctz(mask)
      const j = at + lane * 4
      const size = lane < 2 ? (lane == 0 ? f32x4.extract_lane(delta, 0) : f32x4.extract_lane(delta, 1)) : lane == 2 ? f32x4.extract_lane(delta, 2) : f32x4.extract_lane(delta, 3)
      store<f32>(codes + j, load<f32>(codes + j) + size)
      const h = hessian + (j >> 2) * pitch
      if (last) subtract(product, size * scale, h, width)
      else follow(product, size * scale, part, size, h, width)
      delta = f32x4.sub(wanted<C>(c, v128.load(product + at), d, s, min, max, format), c)
      // Only codes after this one are still to be asked.
      mask = i32x4.bitmask(f32x4.gt(f32x4.abs(delta), f32x4.splat(0))) & (-2 << <i32>lane)
    }
  }
  return changed
}

/** What codes stand for by `values` [256], less the zero point; zero beyond the last group. `group`, `width`: in bytes of float32. */
function openCodes(source: usize, values: usize, zero: usize, out: usize, groups: usize, group: usize, width: usize): void {
  for (let g: usize = 0; g < groups; g++) {
    const z = load<f32>(zero + g * 4)
    for (const end = out + group; out < end; out += 4, source++) store<f32>(out, load<f32>(values + (<usize>load<u8>(source) << 2)) - z)
  }
  memory.fill(out, 0, width - groups * group)
}

/** The inverse of `openCodes`. */
function closeCodes<C>(codes: usize, format: usize, zero: usize, out: usize, groups: usize, group: usize): void {
  for (let g: usize = 0; g < groups; g++) {
    const z = v128.load_splat<f32>(zero + g * 4)
    for (const end = codes + group; codes < end; codes += 16, out += 4) {
      const c = v128.load(codes)
      const numbers = i32x4.trunc_sat_f32x4_s(isFloat<C>() ? patternOf(c, format) : f32x4.add(c, z))
      v128.store_lane<u32>(out, v128.shuffle<u8>(numbers, numbers, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12), 0)
    }
  }
}

/** eᵀ (H e), group by group; the errors e go where the weights were. */
function lossOf(weight: usize, codes: usize, scale: usize, product: usize, groups: usize, group: usize): f64 {
  let loss: f64 = 0
  for (let g: usize = 0; g < groups; g++) {
    const s = f32x4.splat(load<f32>(scale + g * 4))
    for (let at: usize = 0; at < group; at += 16) {
      v128.store(weight + at, f32x4.sub(v128.load(weight + at), f32x4.mul(v128.load(codes + at), s)))
    }
    loss += dot(weight, product, group)
    weight += group
    codes += group
    product += group
  }
  return loss
}

/**
 * Rows `from` .. `to` of weight, product [rows, width] float32 (both used up), codes [rows, width] bytes, scale, zero [rows, groups]
 * float32, loss [rows]. `values` [256] float32: what codes stand for. `hessian`: rows `pitch` bytes apart; `diagonal` [width].
 * `groupSize` is a multiple of 4, `width` of 8. `dtype`: see stored.ts; less than 0: scales stay. `float`: the kind of float that codes
 * are (floats.ts), 0 for integers. `scratch`: `lane` of `laneBytes` says whose; it holds `strip` rows (a multiple of tileRows) of codes
 * and, where scales are fitted, a panel, two matrices of groups x groups with two vectors, and `strip` rows of parts.
 */
export function refine(
  weight: usize,
  product: usize,
  codes: usize,
  values: usize,
  scale: usize,
  zero: usize,
  loss: usize,
  hessian: usize,
  diagonal: usize,
  scratch: usize,
  laneBytes: usize,
  width: usize,
  pitch: usize,
  groups: usize,
  groupSize: usize,
  strip: usize,
  rounds: i32,
  dtype: i32,
  float: i32,
  least: f32,
  most: f32,
  from: usize,
  to: usize,
  lane: usize,
): void {
  const bytes = width * 4
  const group = groupSize * 4
  const format = formatOf(float)
  const fits = dtype >= 0
  const work = scratch + lane * laneBytes
  const panel = work + strip * bytes
  const matrix = panel + <usize>(panelDepth * panelColumns * 4)
  const factor = matrix + groups * pitchOf(groups)
  const right = factor + groups * pitchOf(groups)
  const moved = right + pitchOf(groups)
  const parts = moved + pitchOf(groups)
  for (let top = from; top < to; top += strip) {
    const count = min(strip, to - top)
    const tiled = (count + tileRows - 1) & ~(tileRows - 1)
    for (let row: usize = 0; row < count; row++) {
      openCodes(codes + (top + row) * width, values, zero + (top + row) * groups * 4, work + row * bytes, groups, group, bytes)
    }
    memory.fill(work + count * bytes, 0, (tiled - count) * bytes)
    if (fits) partsOf(work, hessian, parts, panel, tiled, groups, groupSize, bytes, pitch)
    for (let row: usize = 0; row < count; row++) {
      const at = top + row
      const c = work + row * bytes
      const u = parts + row * groups * bytes
      const p = product + at * bytes
      const s = scale + at * groups * 4
      const z = zero + at * groups * 4
      for (let round = 1; round <= rounds; round++) {
        let changed = fits && refit(matrix, factor, right, moved, c, p, u, s, groups, group, bytes, dtype)
        const last = !fits || round == rounds
        for (let g: usize = 0; g < groups; g++) {
          const shift = load<f32>(z + g * 4)
          const size = load<f32>(s + g * 4)
          const part = u + g * bytes
          const low = least - shift
          const high = most - shift
          const moves = format
            ? descend<f32>(c, p, part, hessian, diagonal, g * group, group, bytes, pitch, size, low, high, format, last)
            : descend<i32>(c, p, part, hessian, diagonal, g * group, group, bytes, pitch, size, low, high, format, last)
          changed = moves || changed
        }
        if (!changed) break
      }
      store<f32>(loss + at * 4, <f32>lossOf(weight + at * bytes, c, s, p, groups, group))
      if (format) closeCodes<f32>(c, format, z, codes + at * width, groups, group)
      else closeCodes<i32>(c, format, z, codes + at * width, groups, group)
    }
  }
}

import { Arena } from './arena.ts'
import type { Call, Crew } from './crew.ts'
import { tileSide } from './tiles.ts'

const tileLength = tileSide * tileSide
/** Calls per lane and row of tiles: the tiles of a row are sums of different length. */
const callsPerLane = 4

/**
 * Where row i, columns 4 × quad .. +3 of a matrix of `tiles` x `tiles` tiles begin: [tile row][tile column][quad][row][4], see
 * assembly/factor.ts.
 */
function quadAt(tiles: number, i: number, quad: number): number {
  const quads = tileSide / 4
  const tile = Math.floor(i / tileSide) * tiles + Math.floor(quad / quads)
  return tile * tileLength + ((quad % quads) * tileSide + (i % tileSide)) * 4
}

/** H, rows and columns reversed, upper triangle, into zeroed tiles; beyond n the unit matrix, which comes last and so changes nothing. */
function packTiles(h: Float32Array, n: number, tiles: number, out: Float64Array): void {
  out.fill(0)
  const last = n * n - 1
  for (let i = 0; i < n; i++) {
    for (let quad = i >> 2; quad * 4 < n; quad++) {
      const to = quadAt(tiles, i, quad)
      for (let c = 0; c < 4; c++) {
        const j = quad * 4 + c
        if (j >= i && j < n) out[to + c] = h[last - i * n - j] ?? 0
      }
    }
  }
  for (let i = n; i < tiles * tileSide; i++) out[quadAt(tiles, i, i >> 2) + (i & 3)] = 1
}

/** M, on and below the diagonal, to U = M reversed. The diagonal tiles of M are in `lower`. */
function unpackTiles(matrix: Float64Array, lower: Float64Array, n: number, tiles: number): Float32Array {
  const u = new Float32Array(n * n)
  const last = n * n - 1
  for (let i = 0; i < n; i++) {
    const row = Math.floor(i / tileSide)
    for (let quad = 0; quad <= i >> 2; quad++) {
      const at = quadAt(tiles, i, quad)
      const diagonal = Math.floor((quad * 4) / tileSide) === row
      const source = diagonal ? lower : matrix
      const from = diagonal ? row * tileLength + (at % tileLength) : at
      for (let c = 0; c < 4; c++) {
        const j = quad * 4 + c
        if (j <= i) u[last - i * n - j] = source[from + c] ?? 0
      }
    }
  }
  return u
}

/** `Kernels.inverseFactor` through the wasm exports `diagonal` and `panels`, one row of tiles after the other. */
export async function wasmInverseFactor(memory: WebAssembly.Memory, crew: Crew, h: Float32Array, n: number): Promise<Float32Array | null> {
  const tiles = Math.ceil(n / tileSide)
  const arena = new Arena(memory, `factor a matrix of ${n} x ${n}`)
  const matrix = arena.take(tiles * tiles * tileLength * 8)
  const lower = arena.take(tiles * tileLength * 8)
  const matrixView = new Float64Array(memory.buffer, matrix, tiles * tiles * tileLength)
  packTiles(h, n, tiles, matrixView)

  const step = Math.ceil(tiles / (crew.lanes === 1 ? 1 : crew.lanes * callsPerLane))
  for (let row = 0; row < tiles; row++) {
    const [definite] = await crew.run('diagonal', [[matrix, lower, tiles, row]])
    if (!definite) return null
    const calls: Call[] = []
    for (let from = 0; from < tiles; from += step) calls.push([matrix, lower, tiles, row, from, Math.min(from + step, tiles)])
    await crew.run('panels', calls)
  }
  return unpackTiles(matrixView, new Float64Array(memory.buffer, lower, tiles * tileLength), n, tiles)
}

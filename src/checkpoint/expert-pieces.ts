import { viewAs } from '../numerics/view.ts'
import type { StoredTensorInfo } from './tensor-reader.ts'

/** A matrix (or bias) of one expert within a tensor that holds those of all. */
export interface ExpertPiece {
  /** The stored tensor: [experts, a, b], or [experts, a] for biases. */
  readonly whole: StoredTensorInfo
  readonly expert: number
  /** [rows, columns] of a matrix, [rows] of a bias. */
  readonly shape: readonly number[]
  /** Its rows are the columns that are stored: [experts, columns, rows]. */
  readonly turned: boolean
  /** Its rows among those of the expert: `first`, `first + step` and so on. */
  readonly first: number
  readonly step: number
}

/** Stored types that pieces are cut from. */
const FLOATS = /^(F32|F16|BF16)$/

const DOWN = /^(.*\bexperts)\.down_proj$/

/**
 * The linears of experts that are stored in one tensor for all of a layer, by the names that loaders of compressed experts look for:
 * `experts.gate_up_proj` [experts, 2 * inner, hidden] or [experts, hidden, 2 * inner] gives `experts.3.gate_proj.weight` and
 * `experts.3.up_proj.weight`, `experts.down_proj` gives `experts.3.down_proj.weight` [hidden, inner], `_bias` tensors the biases (as
 * llm-compressor saves them, modeling/moe/linear_experts.py). Which way a tensor lies follows from both shapes. `alternating`: rows of gate and
 * up take turns, as gpt-oss has them; else the gate comes first. Tensors that do not fit together give none.
 */
export function expertPieces(tensors: ReadonlyMap<string, StoredTensorInfo>, alternating: boolean): Map<string, ExpertPiece> {
  const pieces = new Map<string, ExpertPiece>()
  for (const [name, down] of tensors) {
    const module = DOWN.exec(name)?.[1]
    const gateUp = module === undefined ? undefined : tensors.get(`${module}.gate_up_proj`)
    const sizes = gateUp && sizesOf(gateUp, down)
    if (!gateUp || !sizes) continue
    const { experts, hidden, inner, turned } = sizes
    const [firstUp, step] = alternating ? [1, 2] : [inner, 1]
    const offsets = [tensors.get(`${module}.gate_up_proj_bias`), tensors.get(`${module}.down_proj_bias`)]
    for (let expert = 0; expert < experts; expert++) {
      const add = (
        linear: string,
        whole: StoredTensorInfo,
        bias: StoredTensorInfo | undefined,
        rows: number,
        columns: number,
        at: [number, number],
      ) => {
        const [first, stride] = at
        const place = { expert, first, step: stride }
        pieces.set(`${module}.${expert}.${linear}.weight`, { whole, shape: [rows, columns], turned, ...place })
        if (bias) pieces.set(`${module}.${expert}.${linear}.bias`, { whole: bias, shape: [rows], turned: false, ...place })
      }
      add('gate_proj', gateUp, offsets[0], inner, hidden, [0, step])
      add('up_proj', gateUp, offsets[0], inner, hidden, [firstUp, step])
      add('down_proj', down, offsets[1], hidden, inner, [0, 1])
    }
  }
  return pieces
}

/** What the shapes of both tensors say; null where they do not fit. */
function sizesOf(gateUp: StoredTensorInfo, down: StoredTensorInfo) {
  if (gateUp.shape.length !== 3 || down.shape.length !== 3 || !FLOATS.test(gateUp.dtype) || !FLOATS.test(down.dtype)) return null
  const [experts, a, b] = gateUp.shape
  const [others, c, d] = down.shape
  if (experts !== others) return null
  // A stored [2 * inner, hidden] goes with [hidden, inner], a turned [hidden, 2 * inner] with [inner, hidden]: never both.
  if (a === 2 * d && b === c) return { experts, hidden: b, inner: d, turned: false }
  if (b === 2 * c && a === d) return { experts, hidden: a, inner: c, turned: true }
  return null
}

/** Bytes of a stored element; [begin, end) of the expert's own in the stored tensor. */
export function expertRange({ whole, expert }: ExpertPiece): [begin: number, end: number] {
  const size = (whole.end - whole.begin) / whole.shape[0]
  return [expert * size, (expert + 1) * size]
}

/** The bytes of a piece from those of its expert (`expertRange`). */
export function cutPiece({ whole, shape, turned, first, step }: ExpertPiece, bytes: Uint8Array): Uint8Array {
  const [rows, columns = 1] = shape
  const Elements = whole.dtype === 'F32' ? Uint32Array : Uint16Array
  const stored = viewAs<Uint16Array | Uint32Array>(Elements, bytes)
  const out = new Elements(rows * columns)
  const width = stored.length / columns
  for (let row = 0; row < rows; row++) {
    const at = first + row * step
    if (turned) for (let column = 0; column < columns; column++) out[row * columns + column] = stored[column * width + at]
    else out.set(stored.subarray(at * columns, (at + 1) * columns), row * columns)
  }
  return new Uint8Array(out.buffer)
}

import { type Batch, cutBatches } from '../models/batches.ts'

/** Tokens to read, and which next tokens are scored. */
export interface ScoredRow {
  /** What the model reads. */
  readonly ids: Int32Array
  /** The position in `ids` that predicts the first target; the next position predicts the second, and so on. */
  readonly first: number
  readonly targets: Int32Array
}

/** A window of which every token but the first is scored. */
export function wholeRow(ids: Int32Array): ScoredRow {
  return { ids, first: 0, targets: ids.subarray(1) }
}

/** Rows that go through a model together: their number, and where in the batch's tokens targets are predicted. */
export interface BatchTargets {
  /** Positions in the batch's tokens, row by row. */
  readonly positions: Int32Array
  readonly targets: Int32Array
}

/** Rows of one length that go together, `most` of them at most. */
export function cutRowBatches(rows: readonly ScoredRow[], most?: number): Batch[] {
  return cutBatches(
    rows.map(({ ids }) => ids),
    most,
  )
}

/** The targets of each batch that `cutBatches` makes of rows. */
export function batchTargets(rows: readonly ScoredRow[], most?: number): BatchTargets[] {
  let next = 0
  return cutRowBatches(rows, most).map(({ shape }) => {
    const own = rows.slice(next, next + shape.rows)
    next += shape.rows
    const positions = own.flatMap(({ first, targets }, row) => Array.from(targets, (_, i) => row * shape.length + first + i))
    return { positions: Int32Array.from(positions), targets: Int32Array.from(own.flatMap(({ targets }) => [...targets])) }
  })
}

/** Consecutive rows, cut where batches end: a batch more would exceed `tokens`. */
export function cutBlocks(rows: readonly ScoredRow[], tokens: number, most?: number): ScoredRow[][] {
  const blocks: ScoredRow[][] = []
  let size = Number.POSITIVE_INFINITY
  let next = 0
  for (const { shape, ids } of cutRowBatches(rows, most)) {
    if (size + ids.length > tokens) {
      blocks.push([])
      size = 0
    }
    blocks[blocks.length - 1].push(...rows.slice(next, next + shape.rows))
    next += shape.rows
    size += ids.length
  }
  return blocks
}

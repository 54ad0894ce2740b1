import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { streamBatches } from '../../src/oneshot/streams.ts'

/** Rows that carry their own number. */
const rowsOf = (lengths: readonly number[]) => lengths.map((length, row) => new Int32Array(length).fill(row))

describe('streamBatches()', () => {
  test('holds back every sixteenth row, and none of fewer', () => {
    const heldBack = (count: number) =>
      streamBatches(rowsOf(Array(count).fill(8)))
        .filter((batch) => batch.heldBack)
        .flatMap(({ ids }) => [...new Set(ids)])
    expect(heldBack(15)).toEqual([])
    expect(heldBack(16)).toEqual([15])
    expect(heldBack(40)).toEqual([15, 31])
  })

  test('every row goes through exactly once, whole, beside rows of its own length and kind alone', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { maxLength: 70 }), (lengths) => {
        const seen: number[] = []
        for (const { shape, ids, heldBack } of streamBatches(rowsOf(lengths))) {
          expect(ids).toHaveLength(shape.rows * shape.length)
          for (let start = 0; start < ids.length; start += shape.length) {
            const [row] = ids.subarray(start)
            expect(lengths[row]).toBe(shape.length)
            expect(ids.subarray(start, start + shape.length).every((id) => id === row)).toBe(true)
            expect(heldBack).toBe(row % 16 === 15)
            seen.push(row)
          }
        }
        expect(seen.sort((a, b) => a - b)).toEqual([...lengths.keys()])
      }),
    )
  })

  test('rows of one length go together, wherever they stand, the longest first', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 2, max: 40 }), { minLength: 1, maxLength: 70 }), (lengths) => {
        const batches = streamBatches(rowsOf(lengths))
        for (const wanted of [false, true]) {
          const expected = lengths.filter((_, row) => (row % 16 === 15) === wanted)
          // All rows of a length fit into one batch here.
          expect(batches.filter(({ heldBack }) => heldBack === wanted).map(({ shape }) => shape.length)).toEqual(
            [...new Set(expected)].sort((a, b) => b - a),
          )
        }
      }),
    )
  })

  test('rows of one length, as packed text has them, keep their order', () => {
    const rows = rowsOf(Array(40).fill(256))
    const order = [false, true].flatMap((heldBack) => rows.filter((_, row) => (row % 16 === 15) === heldBack))
    expect(streamBatches(rows).flatMap(({ ids }) => [...ids])).toEqual(order.flatMap((row) => [...row]))
  })
})

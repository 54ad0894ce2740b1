import fc from 'fast-check'
import { expect, it } from 'vitest'
import { throughStrips } from '../../src/kernels/strips.ts'

it('takes every row once, and leaves a place alone while the lanes are at work on it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 12 }), async (rows, stride) => {
      /** What each place holds, and whether the lanes have it. */
      const places = [0, 1].map(() => ({ rows: [] as number[], isBusy: false, isFull: false }))
      const out: number[] = []
      const span = (top: number, count: number) => Array.from({ length: count }, (_, i) => top + i)
      await throughStrips(rows, stride, {
        putIn(top, count, place) {
          expect(places[place]).toMatchObject({ isBusy: false, isFull: false })
          Object.assign(places[place], { rows: span(top, count), isFull: true })
        },
        async run(top, count, place) {
          expect(places.some(({ isBusy }) => isBusy)).toBe(false)
          expect(places[place].rows).toEqual(span(top, count))
          places[place].isBusy = true
          await new Promise((resolve) => setImmediate(resolve))
          places[place].isBusy = false
        },
        takeOut(top, count, place) {
          expect(places[place]).toMatchObject({ rows: span(top, count), isBusy: false })
          places[place].isFull = false
          out.push(...span(top, count))
        },
      })
      expect(out).toEqual(span(0, rows))
    }),
  )
})

it('rejects with what the lanes reject with', async () => {
  const run = (top: number) => (top === 4 ? Promise.reject(new Error('a lane ended')) : Promise.resolve())
  await expect(throughStrips(10, 2, { putIn() {}, run, takeOut() {} })).rejects.toThrow('a lane ended')
})

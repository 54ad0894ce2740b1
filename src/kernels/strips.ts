/**
 * Rows are taken through the wasm memory in strips of about this size, two of them in turns. Of 64 MB each they were out of the caches by the
 * time the lanes came to them.
 */
export const stripBytes = 8 * 2 ** 20

/** What is done with the strips of a matrix; `place` says which of two places of the wasm memory a strip has. */
export interface StripWork {
  /** Copies rows `top` .. `top + count` to a place. */
  putIn(top: number, count: number, place: number): void
  run(top: number, count: number, place: number): Promise<unknown>
  takeOut(top: number, count: number, place: number): void
}

/** Takes `rows` rows through two places, `stride` at a time: one is filled and emptied here while the lanes are at work on the other. */
export async function throughStrips(rows: number, stride: number, { putIn, run, takeOut }: StripWork): Promise<void> {
  let before: { readonly done: Promise<unknown>; takeOut(): void } | null = null
  for (let top = 0, place = 0; top < rows; top += stride, place = 1 - place) {
    const [first, count, at] = [top, Math.min(stride, rows - top), place]
    putIn(first, count, at)
    await before?.done
    const done = run(first, count, at)
    before?.takeOut()
    before = { done, takeOut: () => takeOut(first, count, at) }
  }
  await before?.done
  before?.takeOut()
}

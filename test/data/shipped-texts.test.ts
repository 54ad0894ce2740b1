import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'

const read = (path: string) => readFile(new URL(`../../data/${path}`, import.meta.url), 'utf8')

interface Passage {
  text: string
  kind: string
  source: string
}

async function passages(): Promise<Passage[]> {
  const lines = (await read('mixed-text/calibration.jsonl')).trimEnd().split('\n')
  return lines.map((line) => JSON.parse(line) as Passage)
}

function eightGrams(text: string): Set<string> {
  const words = text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? []
  return new Set(Array.from({ length: Math.max(0, words.length - 7) }, (_, i) => words.slice(i, i + 8).join(' ')))
}

describe('the mixed text', () => {
  it('has fourteen kinds, none above a sixth of the characters', async () => {
    const sizes = new Map<string, number>()
    for (const { kind, text } of await passages()) sizes.set(kind, (sizes.get(kind) ?? 0) + text.length)
    const total = [...sizes.values()].reduce((sum, size) => sum + size, 0)
    expect(sizes.size).toBe(14)
    expect(Math.max(...sizes.values()) / total).toBeLessThan(1 / 6)
  })

  it('is mixed from the beginning: 32 rows of 512 tokens reach every kind', async () => {
    // 3.6 characters a token on the whole of this text with SmolLM2's tokenizer.
    const kinds = new Set<string>()
    let characters = 0
    for (const { kind, text } of await passages()) {
      if (characters > 32 * 512 * 3.6) break
      kinds.add(kind)
      characters += text.length
    }
    expect(kinds.size).toBe(14)
  })

  it.each(['docs-text/eval.txt', 'quotations/eval.txt'])('has no eight words in a row in common with %s', async (path) => {
    const heldOut = eightGrams(await read(path))
    const shared = (await passages()).filter(({ text }) => [...eightGrams(text)].some((gram) => heldOut.has(gram)))
    expect(shared.map(({ source }) => source)).toEqual([])
  })
})

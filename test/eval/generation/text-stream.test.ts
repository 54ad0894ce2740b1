import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TextStream } from '../../../src/eval/generation/text-stream.ts'

/** Bytes are tokens; 256 is a special one. */
const bytes = {
  encode: (text: string) => [...new TextEncoder().encode(text)],
  encodePlain: (text: string) => [...new TextEncoder().encode(text)],
  decode: (ids: readonly number[], { skipSpecial = false } = {}) =>
    ids.includes(256) && !skipSpecial ? '<special>' : new TextDecoder().decode(Uint8Array.from(ids.filter((id) => id < 256))),
  vocabSize: 257,
  prefix: [],
  suffix: [],
  renderChat: null,
}

/** Words are tokens, and a space goes before each but the first, as SentencePiece's decoders do it. */
const words = { ...bytes, decode: (ids: readonly number[]) => ids.map((id) => ['the', 'cat', 'sat'][id]).join(' ') }

function streamed(text: string, prompt: string, stops: readonly string[] = []): { parts: string[]; stream: TextStream } {
  const stream = new TextStream(bytes, bytes.encode(prompt), stops)
  const parts: string[] = []
  for (const id of bytes.encode(text)) if (!stream.stopped) parts.push(stream.push(id))
  if (!stream.stopped) parts.push(stream.end())
  return { parts, stream }
}

describe('TextStream', () => {
  test('never gives part of a character, and all of the text in the end, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (text, prompt) => {
        fc.pre(!/\p{Surrogate}/u.test(text) && !text.includes('\ufffd') && !text.includes('\ufeff') && !prompt.includes('\ufeff'))
        const { parts, stream } = streamed(text, prompt)
        expect(parts.join('')).toBe(text)
        expect(stream.text).toBe(text)
        for (const part of parts) expect(part.includes('\ufffd')).toBe(false)
      }),
    )
  })

  test('keeps the space between the prompt and the first word', () => {
    const stream = new TextStream(words, [0])
    expect([stream.push(1), stream.push(2), stream.end()]).toEqual([' cat', ' sat', ''])
  })

  test('leaves special tokens out', () => {
    const stream = new TextStream(bytes, [65])
    expect([stream.push(66), stream.push(256), stream.push(67)]).toEqual(['B', '', 'C'])
  })

  test('gives an incomplete character when nothing follows', () => {
    const stream = new TextStream(bytes, [65])
    expect([stream.push(0xe6), stream.push(0x9d), stream.end()]).toEqual(['', '', '\ufffd'])
  })

  test('stops at a text that comes in pieces, and holds back what may become one', () => {
    const { parts, stream } = streamed('one\n\ntwo', '', ['\n\n', 'three'])
    expect(parts.join('')).toBe('one')
    expect(stream.stopped).toBe(true)
    const other = streamed('one\nthre', '', ['\n\n', 'three'])
    expect(other.parts).toEqual(['o', 'n', 'e', '', '\n', '', '', '', 'thre'].map((part) => part))
    expect(other.stream.stopped).toBe(false)
  })
})

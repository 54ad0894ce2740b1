import { describe, expect, test } from 'vitest'
import { languageOf } from '../../src/data/language.ts'
import { type SurveyRequest, surveyRows } from '../../src/data/survey.ts'
import type { Tokenizer } from '../../src/data/tokenizer.ts'

const units = (text: string) => Array.from({ length: text.length }, (_, i) => text.charCodeAt(i))
const characters: Tokenizer = {
  encode: (text) => units(`^${text}`),
  encodePlain: units,
  decode: (ids) => String.fromCharCode(...ids),
  vocabSize: 65536,
  prefix: units('^'),
  suffix: [],
  renderChat: null,
}
const survey = (more: Partial<SurveyRequest> & Pick<SurveyRequest, 'dataset'>) =>
  surveyRows({ tokenizer: async () => characters, samples: 2, length: 80, seed: 0, vocab: 65536, widest: 100, ...more })

const english = (n: number) =>
  `${n}: the letters of the alphabet are written in the order in which they have always been written by everybody.`
const german = (n: number) =>
  `${n}: die Buchstaben des Alphabets werden in der Reihenfolge geschrieben, in der sie schon immer geschrieben wurden.`

describe('surveyRows()', () => {
  test('counts rows, documents, tokens and ids, and shows the first row as the model reads it', async () => {
    const { rows, documents, sample, vocabulary, source, tokensPerSecond } = await survey({
      dataset: [english(1), english(2), german(3), german(4), german(4)],
    })
    expect(source).toBe('5 texts')
    expect(rows).toEqual({ count: 2, tokens: 160, shortest: 80, longest: 80 })
    expect(sample).toBe(`^${english(1)}`.slice(0, 80))
    expect(documents).toMatchObject({ read: 5, all: true, duplicates: 1 })
    expect(documents?.tokens).toBe(2 * english(1).length + 3 * german(1).length)
    expect(vocabulary.size).toBe(65536)
    expect(vocabulary.seen).toBeGreaterThan(15)
    expect(tokensPerSecond).toBeGreaterThan(0)
  })

  test('bins documents by doubling lengths', async () => {
    const { documents } = await survey({ dataset: ['abc', 'abcdefgh', 'abcdefghi'.repeat(3), 'x'.repeat(16)], rows: 'truncate' })
    expect(documents?.lengths).toEqual([
      { from: 2, to: 4, documents: 1 },
      { from: 4, to: 8, documents: 0 },
      { from: 8, to: 16, documents: 1 },
      { from: 16, to: 32, documents: 2 },
    ])
  })

  test('says nothing about data that is in order', async () => {
    const dataset = Array.from({ length: 8 }, (_, i) => (i % 2 ? english(i) : german(i)))
    expect((await survey({ dataset })).warnings).toEqual([])
  })

  test.each([
    ['short rows', { dataset: ['one', 'two', english(3)], rows: 'truncate' as const, samples: 3 }, /^rows are short: 29 tokens on average/],
    ['too few tokens', { dataset: [english(1), german(2)], widest: 4096 }, /^160 tokens are fewer than the 4096 inputs/],
    ['rows without the beginning', { dataset: [Array.from({ length: 80 }, () => 7)] }, /^1 of 1 rows do not begin with \^/],
    ['one language', { dataset: [1, 2, 3, 4].map(english) }, /^100 % of the documents are in one language, English/],
    ['one document', { dataset: [english(1).repeat(9), german(2)] }, /^90 % of the text is one document: more even ones/],
    ['duplicates', { dataset: [english(1), english(1), german(2), german(2)] }, /^2 of 4 documents are there more than once/],
    ['a missing template', { dataset: [[{ role: 'user', content: english(1) }]], samples: 1 }, /^the model has no chat template/],
    ['fewer rows', { dataset: [english(1)], samples: 9 }, /^found 1 of the 9 rows/],
  ])('warns of %s', async (_, more, message) => {
    expect((await survey(more)).warnings.some((warning) => message.test(warning))).toBe(true)
  })

  test('leaves token rows as they are', async () => {
    expect(await survey({ dataset: [Array.from({ length: 80 }, (_, i) => i + 1)] })).toMatchObject({
      documents: null,
      languages: [],
      tokensPerSecond: 0,
    })
  })
})

describe('languageOf()', () => {
  test.each([
    [english(1), 'English'],
    [german(1), 'German'],
    ['吾輩は猫である。名前はまだ無い。どこで生れたか頓と見当がつかぬ。', 'Japanese'],
    ['1234 5678', null],
  ])('of %s', (text, language) => {
    expect(languageOf(text)).toBe(language)
  })
})

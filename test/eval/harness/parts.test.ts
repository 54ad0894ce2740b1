import { describe, expect, test } from 'vitest'
import { capitalize, length, strip } from '../../../src/eval/harness/python-string.ts'
import { judge } from '../../../src/eval/harness/write.ts'
import { task as gsm8k } from '../../../src/eval/tasks/gsm8k.ts'
import { task as hellaswag } from '../../../src/eval/tasks/hellaswag.ts'

describe("judge with GSM8K's filters", () => {
  const { written } = gsm8k
  const right = 'He has 7 + 5 = <<7+5=12>>12.\n#### 1,012'
  // [text, strict-match, flexible-extract, both right?]: as lm-eval 0.4.13 gives them.
  test.each([
    [' It is 1,012.\n#### 1012', '1012', '1012', [1, 1]],
    [' #### 1,012.', '1,012.', '1,012.', [1, 1]],
    [' The answer is $1012.', '[invalid]', '$1012.', [0, 1]],
    [' #### 5 and then #### 1012', '5', '1012', [0, 1]],
    [' It costs 7', '[invalid]', '7', [0, 0]],
    [' #### -1012', '-1012', '-1012', [0, 0]],
    ['', '[invalid]', '[invalid]', [0, 0]],
    [' so 3.5 + 2 = 5.5 ...', '[invalid]', '...', [0, 0]],
  ])('%j', (text, strict, flexible, metrics) => {
    if (!written) throw new Error('gsm8k is written')
    const found = judge(text, right, written)
    expect(found.found).toEqual({ 'strict-match': strict, 'flexible-extract': flexible })
    expect(Object.values(found.metrics)).toEqual(metrics)
  })
})

describe('hellaswag', () => {
  test('takes the marks of WikiHow out of contexts and endings', () => {
    const value = {
      activity_label: ' Home',
      ctx_a: 'How to do it [title] Begin. [step] Take  two[substeps] of them.',
      ctx_b: 'THE cat',
      endings: ['[step] Go on. ', 'Stop  now.'],
      label: '1',
    }
    expect(hellaswag.toDoc({ value, where: 'row 1' })).toEqual({
      prompt: 'Home: How to do it. Begin. Take two of them. The cat',
      choices: [' Go on.', 'Stop now.'],
      gold: 1,
    })
  })

  test.each([
    [{ label: '' }, /"label" holds "", expected the number of the right choice, 0 to 1/],
    [{ label: 4 }, /"label" holds 4/],
    [{ endings: [] }, /"endings" holds .*, expected a list of texts/],
    [{ ctx_a: 3 }, /Cannot use the task's row at row 7: "ctx_a" holds 3, expected a text/],
    [{ ctx_b: undefined }, /"ctx_b" holds nothing/],
  ])('refuses a row with %j', (change, message) => {
    const value = { activity_label: 'a', ctx_a: 'b', ctx_b: 'c', endings: ['d', 'e'], label: 0, ...change }
    expect(() => hellaswag.toDoc({ value, where: 'row 7' })).toThrow(message)
  })
})

describe("Python's strings", () => {
  test('strip, capitalize and len are those of CPython', () => {
    expect(strip('\x1c\u2028 a\u200b\ufeff \x85')).toBe('a\u200b\ufeff')
    expect(capitalize('ÉCOLE Des ß')).toBe('École des ß')
    expect(capitalize('ßA ﬁ')).toBe('Ssa ﬁ')
    expect(capitalize('')).toBe('')
    expect(length('a😀é')).toBe(3)
  })
})

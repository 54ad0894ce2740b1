import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { html, jsonForScript, raw } from '../../src/report/html.ts'

describe('html', () => {
  test('escapes what is put in, but not markup', () => {
    expect(html`<p title="${'"<&\'>'}">${['<b>', raw('<i>'), null, 7]}</p>`.markup).toBe(
      '<p title="&quot;&lt;&amp;&#39;&gt;">&lt;b&gt;<i>7</p>',
    )
  })
})

describe('jsonForScript()', () => {
  test('gives back any text, and can neither end the element nor begin a comment', () => {
    const hostile = fc.constantFrom('</script>', '</SCRIPT', '<!--', '<script', '\u2028', ']]>')
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string(), hostile)), (texts) => {
        const { markup } = jsonForScript(texts)
        expect(JSON.parse(markup)).toEqual(texts)
        expect(markup).not.toMatch(/[<\u2028\u2029]/)
      }),
    )
  })
})

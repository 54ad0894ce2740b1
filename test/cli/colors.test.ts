import { describe, expect, test } from 'vitest'
import { colorsFor } from '../../src/cli/colors.ts'

describe('colorsFor()', () => {
  test.each([
    ['a terminal', true, {}, true],
    ['a pipe', false, {}, false],
    ['a pipe under FORCE_COLOR', false, { FORCE_COLOR: '1' }, true],
    ['a terminal under NO_COLOR', true, { NO_COLOR: '1', FORCE_COLOR: '1' }, false],
    ['a dumb terminal', true, { TERM: 'dumb' }, false],
  ])('%s', (_, isTTY, env, coloured) => {
    expect(colorsFor({ isTTY }, env).isColorSupported).toBe(coloured)
  })
})

import { PassThrough } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { openDisplay } from '../../src/cli/display.ts'

function stream(isTTY: boolean) {
  const sink = new PassThrough()
  let text = ''
  sink.on('data', (chunk) => {
    text += chunk
  })
  // What a bar asks of a terminal.
  const terminal = Object.assign(sink, { isTTY, columns: 100, cursorTo: () => true, clearLine: () => true, moveCursor: () => true })
  return { terminal: terminal as unknown as NodeJS.WriteStream, text: () => stripVTControlCharacters(text) }
}

// The test runner may force colours on its own output.
beforeEach(() => void vi.stubEnv('FORCE_COLOR', ''))
afterEach(() => void vi.unstubAllEnvs())

const standing = { done: 1, total: 4, label: 'model.layers.0 · mlp', etaSeconds: 3, result: 'error 0.71 %' }

describe('openDisplay()', () => {
  test('draws a bar with the time to go, what is under way and the last error on a terminal, and no lines for logs', () => {
    const { terminal, text } = stream(true)
    const display = openDisplay({ quiet: false, stream: terminal, env: {} })
    display.show(standing)
    display.log('for logs')
    display.say('stays')
    display.stop()
    expect(text()).toMatch(/█+░+ 25% {2}3\.00 s to go {2}model\.layers\.0 · mlp {2}error 0\.71 %/)
    expect(text()).toContain('stays\n')
    expect(text()).not.toContain('for logs')
  })

  test.each([
    ['a pipe', false, {}],
    ['CI', true, { CI: 'true' }],
  ])('writes lines and no bar in %s', (_where, isTTY, env) => {
    const { terminal, text } = stream(isTTY)
    const display = openDisplay({ quiet: false, stream: terminal, env })
    display.show(standing)
    display.log('for logs')
    display.say('stays')
    display.stop()
    expect(text()).toBe('for logs\nstays\n')
  })

  test('is silent under quiet', () => {
    const { terminal, text } = stream(true)
    const display = openDisplay({ quiet: true, stream: terminal, env: {} })
    display.show(standing)
    display.say('stays')
    expect(text()).toBe('')
  })
})

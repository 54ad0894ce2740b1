import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { cacheDirectory } from '../../src/engine/cache-dir.ts'

describe('cacheDirectory', () => {
  it('is the first of LLMPRESS_CACHE, XDG_CACHE_HOME/llmpress and ~/.cache/llmpress', () => {
    expect(cacheDirectory({ LLMPRESS_CACHE: 'here', XDG_CACHE_HOME: '/xdg' })).toBe(resolve('here'))
    expect(cacheDirectory({ XDG_CACHE_HOME: '/xdg' })).toBe(join('/xdg', 'llmpress'))
    expect(cacheDirectory({})).toBe(join(homedir(), '.cache', 'llmpress'))
  })
})

import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { availableBytes } from '../../src/checkpoint/disk-space.ts'
import { temporaryFolder } from './folders.ts'

describe('availableBytes', () => {
  it('asks the nearest parent that exists', async () => {
    const dir = await temporaryFolder()
    const here = await availableBytes(dir)
    const below = await availableBytes(join(dir, 'not', 'yet'))
    expect(here).toBeGreaterThan(0)
    // Other processes write meanwhile.
    expect(Math.abs(here - below)).toBeLessThan(2 ** 30)
  })
})

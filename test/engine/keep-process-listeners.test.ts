import { describe, expect, it } from 'vitest'
import { keepProcessListeners } from '../../src/engine/keep-process-listeners.ts'

describe('keepProcessListeners()', () => {
  it('removes the handlers that loading installs and keeps those that were there', async () => {
    const mine = () => {}
    process.on('unhandledRejection', mine)
    const before = process.listeners('unhandledRejection').length
    const result = await keepProcessListeners(async () => {
      process.on('unhandledRejection', () => {})
      process.on('uncaughtException', () => {})
      return 7
    })
    expect(result).toBe(7)
    expect(process.listeners('unhandledRejection')).toHaveLength(before)
    expect(process.listeners('unhandledRejection')).toContain(mine)
    process.removeListener('unhandledRejection', mine)
  })
})

import { afterEach, describe, expect, it, vi } from 'vitest'
import { captureConsole } from '../../src/engine/capture-console.ts'

describe('captureConsole', () => {
  afterEach(() => void vi.restoreAllMocks())

  it('drops the banners of tfjs and passes everything else on', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const result = await captureConsole(() => {
      console.warn('Platform node has already been set. Overwriting the platform with node.')
      console.warn('\n============================\nHi, looks like you are running TensorFlow.js in Node.js. ...')
      console.warn('something real', 7)
      return 42
    })
    expect(result).toBe(42)
    expect(warn.mock.calls).toEqual([['something real', 7]])
  })

  it('gives the console back when the load throws', async () => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    const failure = captureConsole(() => {
      console.log('noise')
      throw new Error('no library')
    })
    await expect(failure).rejects.toThrow('no library')
    expect(log).not.toHaveBeenCalled()
    console.log('after')
    expect(log.mock.calls).toEqual([['after']])
  })
})

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

  it('keeps loads that overlap apart, and lets the host program speak meanwhile', async () => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    const original = console.log
    let endFirst = () => {}
    const wait = new Promise<void>((resolve) => {
      endFirst = resolve
    })
    const first = captureConsole(async () => {
      console.log('of the first')
      await wait
      throw new Error('no library')
    })
    let endSecond = () => {}
    const second = captureConsole(async () => {
      console.log('of the second')
      await new Promise<void>((resolve) => {
        endSecond = resolve
      })
    })
    console.log('of the host')
    expect(log.mock.calls).toEqual([['of the host']])
    endFirst()
    await expect(first).rejects.toThrow('no library')
    endSecond()
    await second
    expect(log.mock.calls).toEqual([['of the host'], ['of the second']])
    expect(console.log).toBe(original)
  })
})

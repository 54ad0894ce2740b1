import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { verify } from '../../src/eval/verify.ts'
import type { ProgressEvent } from '../../src/oneshot/events.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { runTiny, TINY } from './runs.ts'

const failAt = (type: ProgressEvent['type']) => (event: ProgressEvent) => {
  if (event.type === type) throw new Error(`failed at ${type}`)
}

describe('onProgress', () => {
  test.each(['plan', 'engine', 'linear', 'layer:done'] as const)(
    'ends the run with what it throws at %s, and leaves nothing',
    async (type) => {
      const output = join(await temporaryFolder(), 'out')
      await expect(runTiny('W4A16', { output, onProgress: failAt(type) })).rejects.toThrow(`failed at ${type}`)
      expect(existsSync(output)).toBe(false)
    },
  )

  test('rejects with what it throws at done, and the checkpoint stands whole', async () => {
    const output = join(await temporaryFolder(), 'out')
    await expect(runTiny('W4A16', { output, onProgress: failAt('done') })).rejects.toThrow('failed at done')
    expect((await verify(output, { against: TINY })).problems).toEqual([])
  })
})

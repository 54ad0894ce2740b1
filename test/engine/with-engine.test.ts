import { setTimeout } from 'node:timers/promises'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import { withEngine } from '../../src/engine/with-engine.ts'
import { RunError } from '../../src/util/errors.ts'

const wasm = { engine: 'wasm', threads: 1 } as const

/** A turn that lasts until it is let go. */
function heldTurn() {
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  return { release, done: withEngine(wasm, () => held) }
}

describe('withEngine', () => {
  it('gives calls their turns one after the other, in their order', async () => {
    const seen: string[] = []
    const turn = (name: string) =>
      withEngine(wasm, async (engine) => {
        seen.push(`${name} begins on ${engine.name}`)
        await setTimeout(10)
        seen.push(`${name} ends on ${tf.getBackend()}`)
        return name
      })
    expect(await Promise.all([turn('a'), turn('b'), turn('c')])).toEqual(['a', 'b', 'c'])
    expect(seen).toEqual(['a', 'b', 'c'].flatMap((name) => [`${name} begins on wasm`, `${name} ends on wasm`]))
  })

  it('goes on after a turn that failed', async () => {
    const failing = withEngine(wasm, () => Promise.reject(new Error('no luck')))
    const next = withEngine(wasm, async () => 42)
    await expect(failing).rejects.toThrow('no luck')
    expect(await next).toBe(42)
  })

  it('lets go of a call that is aborted while it waits, and nobody overtakes', async () => {
    const first = heldTurn()
    const controller = new AbortController()
    let began = false
    const waiting = withEngine({ ...wasm, signal: controller.signal }, async () => {
      began = true
    })
    let lastBegan = false
    const last = withEngine(wasm, async () => {
      lastBegan = true
    })
    controller.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await setTimeout(10)
    expect({ began, lastBegan }).toEqual({ began: false, lastBegan: false })
    first.release()
    await Promise.all([first.done, last])
    expect({ began, lastBegan }).toEqual({ began: false, lastBegan: true })
  })

  it('refuses a call from within a turn, which would wait for itself, and allows it afterwards', async () => {
    const nested = withEngine(wasm, () => withEngine(wasm, async () => 1))
    await expect(nested).rejects.toThrow(RunError)
    await expect(nested).rejects.toThrow('Cannot start a run inside another')
    const { later } = await withEngine(wasm, async () => ({ later: setTimeout(10).then(() => withEngine(wasm, async () => 2)) }))
    expect(await later).toBe(2)
  })
})

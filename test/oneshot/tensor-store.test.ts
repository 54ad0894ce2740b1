import { existsSync } from 'node:fs'
import { stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ScratchFile } from '../../src/oneshot/scratch-file.ts'
import { ScratchStore } from '../../src/oneshot/tensor-store.ts'
import { collectGarbage } from '../../src/util/collect-garbage.ts'
import { RunError, UserError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { engines, random, useEngine } from '../engine/engines.ts'

async function scratchFile(): Promise<ScratchFile> {
  const file = await ScratchFile.create(join(await temporaryFolder(), 'scratch.f32'))
  onTestFinished(() => file.close())
  return file
}

describe('ScratchFile', () => {
  test('gives back what was written, whatever was released between, and uses places again', async () => {
    const file = await scratchFile()
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.boolean()), { maxLength: 40 }), async (steps) => {
        const held: { values: Float32Array; place: { begin: number; bytes: number } }[] = []
        let most = file.bytes
        for (const [i, [length, drop]] of steps.entries()) {
          const values = random(length, i)
          held.push({ values, place: await file.write(values) })
          most = Math.max(most, file.bytes)
          if (drop) file.release(held.splice(i % held.length, 1)[0].place)
          for (const entry of held) expect(await file.read(entry.place)).toEqual(entry.values)
        }
        for (const { place } of held) file.release(place)
        // All is free again: as much as ever fits into what is there.
        const whole = await file.write(new Float32Array(most / 4))
        expect(whole.begin).toBe(0)
        expect(file.bytes).toBe(most)
        file.release(whole)
      }),
      { numRuns: 30 },
    )
  })

  test('is gone once it is closed', async () => {
    const path = join(await temporaryFolder(), 'scratch.f32')
    const file = await ScratchFile.create(path)
    await file.write(new Float32Array(10))
    expect((await stat(path)).size).toBe(40)
    await file.close()
    expect(existsSync(path)).toBe(false)
  })

  test('says where it was cut off', async () => {
    const file = await scratchFile()
    const place = await file.write(new Float32Array(10))
    await truncate(file.path, 12)
    await expect(file.read(place)).rejects.toThrow(RunError)
    await expect(file.read(place)).rejects.toThrow('it ends at byte 12, expected 40')
  })

  test('refuses a folder that is not there or may not be written', async () => {
    await expect(ScratchFile.create('/proc/nowhere/scratch.f32')).rejects.toThrow(/^Cannot write \/proc\/nowhere\/scratch\.f32/)
    await expect(ScratchFile.create(join('package.json', 'scratch.f32'))).rejects.toThrow(UserError)
  })
})

describe.each(engines)('ScratchStore on %s', (engine) => {
  useEngine(engine)

  test('tensors come back to the bit, also those that share their memory, and may be disposed of at any time', async () => {
    const before = tf.memory().numTensors
    const store = new ScratchStore(await scratchFile())
    const values = random(600, 1)
    const whole = tf.tensor2d(values, [30, 20])
    const clone = tf.clone(whole)
    const turned = tf.tidy(() => tf.transpose(whole))
    const wanted = turned.dataSync().slice()
    await store.park([whole, clone, turned])
    expect(await store.values(clone)).toEqual(values)
    await store.load([turned])
    expect(turned.dataSync()).toEqual(wanted)
    whole.dispose()
    await store.load([clone])
    expect(tf.tidy(() => tf.add(clone, 0).dataSync())).toEqual(values)
    await store.park([clone, turned])
    tf.dispose([clone, turned])
    expect(tf.memory().numTensors).toBe(before)
  })

  test('places of tensors that are no more are used again', async () => {
    const file = await scratchFile()
    const store = new ScratchStore(file)
    for (let i = 0; i < 5; i++) {
      const tensor = tf.tensor1d(random(100, i))
      await store.park([tensor])
      tensor.dispose()
    }
    expect(file.bytes).toBeLessThanOrEqual(2 * 400)
  })
})

describe('the shelf', () => {
  /** Puts an array on the shelf that nobody else refers to. */
  async function shelved(store: ScratchStore): Promise<readonly [array: WeakRef<Float32Array>, take: () => Promise<Float32Array>]> {
    const values = random(1e5, 1)
    return [new WeakRef(values), await store.shelf.put(values)]
  }

  test('keeps an array in the file and not in memory', async () => {
    const [array, take] = await shelved(new ScratchStore(await scratchFile()))
    // An array stays as long as the turn lasts in which somebody looked at it.
    await new Promise((resolve) => setImmediate(resolve))
    collectGarbage()
    expect(array.deref()).toBeUndefined()
    expect(await take()).toEqual(random(1e5, 1))
  })
})

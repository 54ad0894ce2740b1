import { expect, test } from 'vitest'
import { deviceOf } from '../../src/advice/devices.ts'
import { UserError } from '../../src/util/errors.ts'

test('deviceOf finds a GPU however it is spelled', () => {
  for (const name of ['RTX 4090', 'rtx4090', 'GeForce RTX-4090', 'NVIDIA GeForce RTX 4090']) {
    expect(deviceOf(name)).toEqual({ name: 'RTX 4090', memory: 24 * 2 ** 30, capability: 89, bandwidth: 1008e9 })
  }
})

test('deviceOf takes a size of memory and cpu', () => {
  expect(deviceOf('24GB')).toMatchObject({ memory: 24e9, capability: null })
  expect(deviceOf('CPU')).toMatchObject({ name: 'CPU', memory: null })
})

test.each(['RTX 4091', '4099', 'banana'])('deviceOf refuses %s with the ones there are', (name) => {
  expect(() => deviceOf(name)).toThrow(UserError)
  expect(() => deviceOf(name)).toThrow(/expected cpu, a size of memory such as 24GB, or one of V100, /)
})

test('deviceOf names what a misspelt GPU may be', () => {
  expect(() => deviceOf('RTX 4091')).toThrow('did you mean "RTX 4090"?')
})

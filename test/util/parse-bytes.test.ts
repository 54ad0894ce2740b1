import { describe, expect, test } from 'vitest'
import { parseBytes } from '../../src/util/parse-bytes.ts'

describe('parseBytes()', () => {
  test.each([
    ['4GB', 4e9],
    ['1.5 gb', 1.5e9],
    ['512MiB', 512 * 2 ** 20],
    ['2 TiB', 2 ** 41],
    ['300kB', 300_000],
    ['4000000000', 4e9],
    ['7 B', 7],
  ])('reads %j', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes)
  })

  test.each(['', '0GB', '-1GB', '4 apples', '1e9', '0x10', 'GB', '.5GB', '4G', '0.1B', '99999999999TB'])('%j is no size', (text) => {
    expect(parseBytes(text)).toBeNull()
  })
})

import { describe, expect, test } from 'vitest'
import type { Quantized } from '../../src/checkpoint/layouts/layout.ts'
import { resolveArgs } from '../../src/schemes/args.ts'
import { codesChecksum } from '../../src/schemes/codes-checksum.ts'

const QUANTIZED: Quantized = {
  args: resolveArgs({ num_bits: 4 }),
  rows: 1,
  columns: 9,
  codes: Int8Array.from(Buffer.from('123456789')),
  scale: new Float32Array(0),
  scaleShape: [1],
  scaleDtype: 'F32',
  zeroPoint: null,
  globalScale: null,
}

describe('codesChecksum()', () => {
  test('is the CRC-32 of the catalogue for its check value', () => {
    expect(codesChecksum(QUANTIZED)).toBe('cbf43926')
  })

  test('differs with every part', () => {
    const others: Partial<Quantized>[] = [
      { codes: Int8Array.from(Buffer.from('123456780')) },
      { scale: Float32Array.of(1) },
      { scale: Float32Array.of(-1) },
      { zeroPoint: Int8Array.of(1) },
      { globalScale: 2 },
    ]
    const sums = others.map((other) => codesChecksum({ ...QUANTIZED, ...other }))
    expect(new Set([codesChecksum(QUANTIZED), ...sums]).size).toBe(others.length + 1)
  })
})

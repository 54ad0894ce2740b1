import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { roundHalfEven } from '../../src/numerics/round.ts'
import { oracleFolder } from '../models/oracles.ts'
import { toBf16 } from '../schemes/oracle.ts'
import { equalFraction, openForTest, runTiny, sameBytes, storedLinears, TINY } from './runs.ts'

/**
 * `codes`: the share of codes equal to the reference's, `scales`: that of scales. The reference divides weights by scales in bfloat16,
 * which rounds twice; we divide in float32. With zero points it also takes max - min in bfloat16, which moves the scales.
 */
const CASES = [
  { name: 'rtn-w4a16', codes: 0.996, scales: 1 },
  { name: 'rtn-w4a16-g32', codes: 0.99, scales: 1 },
  { name: 'rtn-w3a16-g64', codes: 0.996, scales: 1 },
  { name: 'rtn-w8a16', codes: 0.939, scales: 1 },
  { name: 'rtn-w8a8', codes: 0.941, scales: 1 },
  { name: 'fp8-dynamic', codes: 0.971, scales: 1 },
  { name: 'rtn-w4a16-asym', codes: 0.971, scales: 0.741 },
]

describe('oneshot', () => {
  test.each(CASES)(
    "with llm-compressor's recipe of $name: the same tensors, layout and scales; codes differ where bfloat16 division rounds twice",
    async ({ name, ...share }) => {
      const folder = oracleFolder(`checkpoints/${name}`)
      // Where a recipe names no observer, ours looks for scales of less error than the reference's.
      const recipe = (await readFile(join(folder, 'recipe.yaml'), 'utf8')).replace(
        /^( +)scheme:/m,
        '$1weight_observer: memoryless_minmax\n$&',
      )
      const { output } = await runTiny(recipe)
      const [original, theirs, ours] = [await openForTest(TINY), await openForTest(folder), await openForTest(output)]

      const listed = ({ reader }: typeof ours) =>
        [...reader.tensors.values()].map(({ name, dtype, shape }) => `${name} ${dtype} [${shape}]`)
      expect(listed(ours).sort()).toEqual(listed(theirs).sort())
      const compressed = await storedLinears(ours)
      expect(compressed).toHaveLength(14)
      const isOfLinear = (tensor: string) => compressed.some(({ spec }) => tensor.startsWith(`${spec.name}.`))
      for (const tensor of theirs.reader.tensors.keys()) {
        const fixed = !isOfLinear(tensor) || tensor.endsWith('weight_shape')
        if (fixed) expect(sameBytes(await ours.reader.read(tensor), await theirs.reader.read(tensor)), tensor).toBe(true)
      }

      let [codes, elements, scales, groups, unexplained] = [0, 0, 0, 0, 0]
      for (const [i, { spec, quantized }] of (await storedLinears(theirs)).entries()) {
        const mine = compressed[i].quantized
        // Their codes in our packing are their bytes.
        const layout = theirs.compressed.get(spec.name)?.layout
        for (const [suffix, bytes] of layout?.encode(quantized) ?? []) {
          expect(sameBytes(bytes, await theirs.reader.read(`${spec.name}.${suffix}`)), suffix).toBe(true)
        }
        codes += equalFraction(mine.codes, quantized.codes) * quantized.codes.length
        elements += quantized.codes.length
        scales += equalFraction(mine.scale, quantized.scale) * quantized.scale.length
        groups += quantized.scale.length
        if (quantized.zeroPoint || quantized.codes instanceof Uint8Array) continue
        const weight = await original.reader.readFloats(`${spec.name}.weight`)
        const span = spec.columns / (quantized.scale.length / spec.rows)
        const half = 2 ** (quantized.args.num_bits - 1)
        for (const [k, code] of quantized.codes.entries()) {
          if (code === mine.codes[k]) continue
          const twice = toBf16(weight[k] / quantized.scale[Math.floor(k / span)])
          if (roundHalfEven(Math.min(half - 1, Math.max(-half, twice))) !== code) unexplained++
        }
      }
      expect(codes / elements).toBeGreaterThanOrEqual(share.codes - 0.001)
      expect(scales / groups).toBeGreaterThanOrEqual(share.scales)
      expect(unexplained).toBe(0)
    },
  )
})

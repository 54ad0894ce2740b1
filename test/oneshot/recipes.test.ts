import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { verify } from '../../src/eval/verify.ts'
import { runTiny, TINY } from './runs.ts'

const RECIPES = fileURLToPath(new URL('../../recipes', import.meta.url))

describe('the shipped recipes', () => {
  test.each(readdirSync(RECIPES).filter((file) => file.endsWith('.yaml')))(
    '%s compresses the tiny model to a sound checkpoint',
    async (file) => {
      const record = await runTiny(join(RECIPES, file))
      expect(record.linears).toHaveLength(14)
      expect(record.warnings).toEqual([])
      expect(record.size.after).toBeLessThan(record.size.before)
      const alone = await verify(record.output)
      expect(alone.problems).toEqual([])
      const { linears, problems } = await verify(record.output, { against: TINY })
      expect(problems).toEqual([])
      // What a transform rescaled or rotated is not held against the original's weights.
      const transforms = /AWQ|SmoothQuant|SpinQuant/.test(record.recipe.text)
      if (!transforms) expect(linears.filter(({ error }) => error !== null)).toHaveLength(14)
      for (const { name, method, error, errorOf, rtnError } of record.linears) {
        const measured = linears.find((linear) => linear.name === name)?.error
        if (!/^(RTN|INT8|NF4|LLM\.int8)$/.test(method)) expect(error, name).toBeLessThan(rtnError ?? 0)
        if (transforms) continue
        if (method === 'RTN') {
          expect(errorOf).toBe('weights')
          // The kernels sum in four parts.
          expect(error / (measured ?? 0), name).toBeCloseTo(1, 12)
        }
        expect(measured, name).toBeLessThan(0.5)
      }
      expect(await readFile(join(record.output, 'recipe.yaml'), 'utf8')).toBe(await readFile(join(RECIPES, file), 'utf8'))
    },
  )
})

import { readFile } from 'node:fs/promises'
import { Ajv } from 'ajv'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { recipeSchemaFile } from '../../src/recipe/schema.ts'
import { shippedRecipes } from '../../src/recipe/source.ts'

const committed = await readFile(new URL('../../schemas/recipe.schema.json', import.meta.url), 'utf8')
const validate = new Ajv({ strict: false }).compile(JSON.parse(committed))

test('schemas/recipe.schema.json is what the modifiers make (npm run schemas)', async () => {
  expect(committed).toBe(await recipeSchemaFile())
})

test('recipe.schema.json accepts every shipped recipe', async () => {
  for (const name of await shippedRecipes()) {
    const text = await readFile(new URL(`../../recipes/${name}.yaml`, import.meta.url), 'utf8')
    expect(validate(parse(text)), name).toBe(true)
  }
})

test.each([
  'quant_stage: {run_type: oneshot, quant_modifiers: {GPTQModifier: {scheme: W4A16}}}',
  'quant_modifiers: [{gptq: {scheme: W4A16}}]',
  'modifiers: {GPTQModifier: }',
  '[{rtn: {scheme: {W4A16: Linear}}}, gptq]',
  'a_stage: [{GPTQModifier: {group_size: auto}}]',
])('recipe.schema.json accepts %s', (text) => {
  expect(validate(parse(text))).toBe(true)
})

test.each([
  'GPTQModifer: {scheme: W4A16}',
  'GPTQModifier: {schem: W4A16}',
  'GPTQModifier: {group_size: 0.5}',
  'scheme: W4A16',
  'a_stage: {run_type: train}',
])('recipe.schema.json refuses %s', (text) => {
  expect(validate(parse(text))).toBe(false)
})

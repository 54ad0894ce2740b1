import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv } from 'ajv'

/** Whether a document is what schemas/bench-result.schema.json says. */
export async function isBenchResult(document: unknown): Promise<boolean> {
  const schema = JSON.parse(await readFile(join(import.meta.dirname, '../../../schemas/bench-result.schema.json'), 'utf8')) as object
  return new Ajv({ allErrors: true, allowUnionTypes: true }).validate(schema, document)
}

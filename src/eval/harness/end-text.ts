import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { isJsonObject, type JsonObject, readJsonFile } from '../../checkpoint/json-file.ts'

/** The text of the token that ends texts, as tokenizer_config.json has it: none or one. Errors: CheckpointError for a file that is no JSON. */
export async function endText(folder: string): Promise<string[]> {
  const file = join(folder, 'tokenizer_config.json')
  const { eos_token: token }: JsonObject = existsSync(file) ? await readJsonFile(file) : {}
  const text = isJsonObject(token) ? token.content : token
  return typeof text === 'string' && text !== '' ? [text] : []
}

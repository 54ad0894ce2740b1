import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type JsonObject, readJsonObject } from './json-object.ts'

/** Files that name the padding token, as transformers reads them. */
const NAMED_IN = ['tokenizer_config.json', 'special_tokens_map.json']

/**
 * Whether a model folder has a tokenizer, and nothing there names a padding token. Nothing is padded here, so it matters only to other
 * programs. Errors: DataError for a file that is no JSON.
 */
export async function lacksPadding(modelDir: string): Promise<boolean> {
  const read = async (name: string): Promise<JsonObject> => (existsSync(join(modelDir, name)) ? readJsonObject(join(modelDir, name)) : {})
  if (!existsSync(join(modelDir, 'tokenizer.json'))) return false
  for (const name of NAMED_IN) {
    const { pad_token: token } = await read(name)
    if (token !== undefined && token !== null) return false
  }
  return true
}

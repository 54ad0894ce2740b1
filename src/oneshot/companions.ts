import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { OpenModel } from '../models/open-model.ts'

// What stands beside the weights and belongs to the model, not to how it was stored: tokenizer, chat template, generation defaults,
// processors, licences.
const COMPANIONS = [
  /^tokenizer.*\.(json|model)$/,
  /^(vocab|special_tokens_map|added_tokens|generation_config|preprocessor_config|processor_config|chat_template)\.json$/,
  /^(vocab|merges)\.txt$/,
  /\.(jinja|tiktoken)$/,
  /^(spiece|sentencepiece.*)\.model$/,
  /^(LICEN[CS]E|NOTICE|USE_POLICY)/i,
]

/**
 * The files beside a model's weights that go with the compressed checkpoint, read one after the other; the model's own code (copied,
 * never run) where config.json's auto_map refers to it.
 */
export async function* companionFiles({ path, config }: OpenModel): AsyncGenerator<{ name: string; bytes: Uint8Array }> {
  const patterns = config.auto_map ? [...COMPANIONS, /\.py$/] : COMPANIONS
  for (const { name } of (await readdir(path, { withFileTypes: true })).filter((entry) => !entry.isDirectory())) {
    if (patterns.some((pattern) => pattern.test(name))) yield { name, bytes: await readFile(join(path, name)) }
  }
}

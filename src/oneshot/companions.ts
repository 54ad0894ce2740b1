import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

// What stands beside the weights and belongs to the model, not to how it was stored: tokenizer, chat template, generation defaults,
// processors, licences, model code (copied, never run).
const COMPANIONS = [
  /^tokenizer.*\.(json|model)$/,
  /^(vocab|special_tokens_map|added_tokens|generation_config|preprocessor_config|processor_config|chat_template)\.json$/,
  /^(vocab|merges)\.txt$/,
  /\.(jinja|tiktoken|py)$/,
  /^(spiece|sentencepiece.*)\.model$/,
  /^(LICEN[CS]E|NOTICE|USE_POLICY)/i,
]

/** The files beside a model's weights that go with the compressed checkpoint, read one after the other. */
export async function* companionFiles(model: string): AsyncGenerator<{ name: string; bytes: Uint8Array }> {
  for (const { name } of (await readdir(model, { withFileTypes: true })).filter((entry) => !entry.isDirectory())) {
    if (COMPANIONS.some((pattern) => pattern.test(name))) yield { name, bytes: await readFile(join(model, name)) }
  }
}

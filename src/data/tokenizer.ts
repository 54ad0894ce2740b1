import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import { refuseForeignLinks } from '../checkpoint/foreign-links.ts'
import { DataError } from '../util/errors.ts'
import { loadChatTemplate, type RenderChat } from './chat-template.ts'
import { type JsonObject, readJsonObject } from './json-object.ts'
import { preparedDefinition } from './tokenizer-definition.ts'

/** A model's own way of cutting text into token ids. */
export interface Tokenizer {
  /** The ids that transformers gives for `tokenizer(text).input_ids`: with the special tokens that the model's post-processor adds. */
  encode(text: string): number[]
  /** The same without those special tokens: for what a chat template has written. */
  encodePlain(text: string): number[]
  /** The text, special tokens included unless told otherwise. */
  decode(ids: readonly number[], options?: { readonly skipSpecial?: boolean }): string
  /** The largest id + 1. */
  readonly vocabSize: number
  /** What `encode` puts before every text: the token that begins a sequence, where the model wants one. */
  readonly prefix: readonly number[]
  /** What `encode` puts after every text. */
  readonly suffix: readonly number[]
  /** Renders a conversation by the model's chat template; null where it has none. */
  readonly renderChat: RenderChat | null
}

/**
 * Reads tokenizer.json and, where they are there, tokenizer_config.json and the chat template of a model folder.
 * DataError when the first is missing or one is damaged; CheckpointError as `refuseForeignLinks`.
 */
export async function loadTokenizer(modelDir: string): Promise<Tokenizer> {
  await refuseForeignLinks(modelDir)
  const file = join(modelDir, 'tokenizer.json')
  const configFile = join(modelDir, 'tokenizer_config.json')
  const modelConfig = join(modelDir, 'config.json')
  if (!existsSync(file)) {
    throw new DataError(
      `Cannot tokenise text: ${file} is missing, expected the tokenizer beside the model. Copy it there, or give rows of token ids instead of text`,
    )
  }
  const definition = await readJsonObject(file)
  const config = existsSync(configFile) ? await readJsonObject(configFile) : {}
  const model = existsSync(modelConfig) ? await readJsonObject(modelConfig) : {}
  const prepared = preparedDefinition(file, definition, config, typeof model.model_type === 'string' ? model.model_type : '')
  return wrap(file, build(file, prepared, config), await loadChatTemplate(modelDir, config))
}

function build(file: string, definition: JsonObject, config: JsonObject): HuggingFaceTokenizer {
  try {
    return new HuggingFaceTokenizer(definition, config)
  } catch (error) {
    throw new DataError(
      `Cannot build the tokenizer of ${file}: ${(error as Error).message}, expected a tokenizer.json of the tokenizers library`,
    )
  }
}

/** The package checks little of what it is built from: parts that are not what they should be show when they are first used. */
function used<T>(file: string, use: () => T): T {
  try {
    return use()
  } catch (error) {
    throw new DataError(
      `Cannot use the tokenizer of ${file}: ${(error as Error).message}, expected a tokenizer.json of the tokenizers library`,
    )
  }
}

function wrap(file: string, inner: HuggingFaceTokenizer, renderChat: RenderChat | null): Tokenizer {
  let largest = -1
  for (const id of used(file, () => inner.get_vocab(true)).values()) if (id > largest) largest = id
  const encode = (text: string) => used(file, () => inner.encode(text).ids)
  const encodePlain = (text: string) => used(file, () => inner.encode(text, { add_special_tokens: false }).ids)
  return {
    encode,
    encodePlain,
    // The package refuses to decode nothing, and removes spaces before punctuation unless told otherwise, which transformers 5 does not
    // for byte-level BPE, whatever tokenizer_config.json says.
    decode: (ids, { skipSpecial = false } = {}) =>
      ids.length === 0
        ? ''
        : used(file, () => inner.decode([...ids], { skip_special_tokens: skipSpecial, clean_up_tokenization_spaces: false })),
    vocabSize: largest + 1,
    ...added(encode('a'), encodePlain('a')),
    renderChat,
  }
}

/** The special tokens on both sides of a text. */
function added(whole: readonly number[], plain: readonly number[]): Pick<Tokenizer, 'prefix' | 'suffix'> {
  if (plain.length === 0) return { prefix: whole, suffix: [] }
  const at = whole.findIndex((_, start) => plain.every((id, i) => whole[start + i] === id))
  return { prefix: whole.slice(0, at), suffix: whole.slice(at + plain.length) }
}

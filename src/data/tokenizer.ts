import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import { DataError } from '../util/errors.ts'

/** A model's own way of cutting text into token ids. */
export interface Tokenizer {
  /** The ids that transformers gives for `tokenizer(text).input_ids`: with the special tokens that the model's post-processor adds. */
  encode(text: string): number[]
  /** The text, special tokens included. */
  decode(ids: readonly number[]): string
  /** The largest id + 1. */
  readonly vocabSize: number
}

/**
 * Reads tokenizer.json and, where there is one, tokenizer_config.json of a model folder.
 * DataError when the first is missing or either is damaged.
 */
export async function loadTokenizer(modelDir: string): Promise<Tokenizer> {
  const file = join(modelDir, 'tokenizer.json')
  const configFile = join(modelDir, 'tokenizer_config.json')
  if (!existsSync(file)) {
    throw new DataError(
      `Cannot tokenise text: ${file} is missing, expected the tokenizer beside the model. Copy it there, or give rows of token ids instead of text`,
    )
  }
  const definition = await readObject(file)
  const config = existsSync(configFile) ? await readObject(configFile) : {}
  return wrap(build(file, definition, config))
}

async function readObject(file: string): Promise<object> {
  let value: unknown
  try {
    value = JSON.parse(await readFile(file, 'utf8'))
  } catch (error) {
    throw new DataError(`Cannot read ${file}: ${(error as Error).message}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DataError(`Cannot read ${file}: found ${Array.isArray(value) ? 'an array' : typeof value}, expected a JSON object`)
  }
  return value
}

function build(file: string, definition: object, config: object): HuggingFaceTokenizer {
  try {
    return new HuggingFaceTokenizer(definition, config)
  } catch (error) {
    throw new DataError(
      `Cannot build the tokenizer of ${file}: ${(error as Error).message}, expected a tokenizer.json of the tokenizers library`,
    )
  }
}

function wrap(inner: HuggingFaceTokenizer): Tokenizer {
  let largest = -1
  for (const id of inner.get_vocab(true).values()) if (id > largest) largest = id
  return {
    encode: (text) => inner.encode(text).ids,
    // The package refuses to decode nothing, and removes spaces before punctuation unless told otherwise, which transformers 5 does not
    // for byte-level BPE, whatever tokenizer_config.json says.
    decode: (ids) => (ids.length === 0 ? '' : inner.decode([...ids], { skip_special_tokens: false, clean_up_tokenization_spaces: false })),
    vocabSize: largest + 1,
  }
}

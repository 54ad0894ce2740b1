import { DataError } from '../util/errors.ts'
import type { JsonObject } from './json-object.ts'

/** Model types whose tokenizer_class transformers 5.17 takes for a mistake (its auto/tokenization_auto.py): tokenizer.json holds. */
const FILE_HOLDS = new Set([
  'arctic',
  'deepseek_v2',
  'deepseek_v3',
  'deepseek_v32',
  'hyperclovax',
  'internlm2',
  'jamba',
  'minicpm3',
  'minimax_m2',
  'nemotron',
  'phi3',
  'phimoe',
])

/**
 * tokenizer.json in a form that the tokenizers package encodes as transformers 5 does, at the same speed for all models. `modelType` is
 * config.json's. Errors: DataError for what the package does not know or does otherwise, naming the part of the file.
 */
export function preparedDefinition(file: string, definition: JsonObject, config: JsonObject, modelType: string): JsonObject {
  const built = asLlamaClass(definition, config, modelType)
  requireSupported(file, built)
  requireSupportedModel(file, built, config)
  return withQuickWords(withUnicodeClasses(built))
}

/**
 * transformers' LlamaTokenizer takes vocabulary and merges from the file and builds the rest anew: where the file puts a space before every
 * text (SentencePiece's dummy prefix), it puts one only where there is none yet, before the first piece (`legacy` false) or before each
 * piece between special tokens. What tokenizer_config.json says of framing tokens (add_bos_token) it does not use. Measured with 5.17: 19 of
 * 230 texts have other ids, those that begin with a space. Files of other kinds under that class hold as they are.
 */
function asLlamaClass(definition: JsonObject, config: JsonObject, modelType: string): JsonObject {
  const named = typeof config.tokenizer_class === 'string' && /^LlamaTokenizer(Fast)?$/.test(config.tokenizer_class)
  if (!named || FILE_HOLDS.has(modelType) || !isSpacePrefixed(definition)) return definition
  const scheme = (config.add_prefix_space ?? true) ? (config.legacy ? 'always' : 'first') : 'never'
  return { ...definition, normalizer: null, pre_tokenizer: metaspace(scheme) }
}

function metaspace(scheme: string): JsonObject {
  return { type: 'Metaspace', replacement: '▁', prepend_scheme: scheme, split: false }
}

/** Whether a tokenizer writes spaces as ▁, in one of the two usual ways. */
function isSpacePrefixed({ normalizer, pre_tokenizer: pre, model }: JsonObject): boolean {
  if (!isPart(model) || model.type !== 'BPE' || model.byte_fallback !== true) return false
  return (
    parts(normalizer).some(({ type, prepend }) => type === 'Prepend' && prepend === '▁') ||
    parts(pre).some(({ type }) => type === 'Metaspace')
  )
}

/** GPT-2's way to cut text into words (its encoder.py), which `ByteLevel` stands for. */
const BYTE_LEVEL_WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/**
 * The package's Digits knows the ASCII ones, and its ByteLevel and WhitespaceSplit take JavaScript's white space (with U+FEFF, without
 * U+0085); the library goes by Unicode's properties, and so does the package's own Split.
 */
function withUnicodeClasses(definition: JsonObject): JsonObject {
  const split = (regex: string, behavior = 'Isolated') => ({ type: 'Split', pattern: { Regex: regex }, behavior, invert: false })
  const change = (part: JsonObject): JsonObject => {
    if (part.type === 'Digits') return split(part.individual_digits ? '\\p{N}' : '\\p{N}+')
    if (part.type === 'WhitespaceSplit') return split('\\p{White_Space}+', 'Removed')
    if (part.type !== 'ByteLevel' || part.use_regex === false || part.add_prefix_space) return part
    return { type: 'Sequence', pretokenizers: [split(BYTE_LEVEL_WORDS), { ...part, use_regex: false }] }
  }
  return { ...definition, pre_tokenizer: mapParts(definition.pre_tokenizer, change) }
}

/**
 * Where spaces are ▁ and nothing cuts the text, the whole text is one word for BPE: 46 s a megabyte. Cut before each run of ▁ it is quick,
 * and gives the same ids where no merge reaches over such a place, which is looked up.
 */
function withQuickWords(definition: JsonObject): JsonObject {
  const { normalizer, pre_tokenizer: pre, model } = definition
  const writesSpaces = parts(normalizer).some(({ type, content }) => type === 'Replace' && content === '▁')
  const [only, ...others] = parts(pre)
  const uncut = others.length === 0 && (only === undefined ? writesSpaces : only.type === 'Metaspace' || isSpaceSplit(only, writesSpaces))
  if (!uncut || !isPart(model) || model.type !== 'BPE' || !Array.isArray(model.merges)) return definition
  const crosses = model.merges.some((merge: unknown) =>
    /[^▁]▁/.test(Array.isArray(merge) ? merge.join('') : String(merge).replace(' ', '')),
  )
  if (crosses) return definition
  const words = { type: 'Split', pattern: { Regex: '▁*[^▁]+|▁+' }, behavior: 'Isolated', invert: false }
  const first = only?.type === 'Metaspace' ? [only] : []
  return { ...definition, pre_tokenizer: { type: 'Sequence', pretokenizers: [...first, words] } }
}

/** Gemma's cut at spaces, of which its normalizer leaves none. */
function isSpaceSplit({ type, pattern }: JsonObject, writesSpaces: boolean): boolean {
  return writesSpaces && type === 'Split' && isPart(pattern) && pattern.String === ' '
}

function refusal(file: string, what: string, expected: string, certainty = 'would'): DataError {
  return new DataError(
    `Cannot use the tokenizer of ${file}: ${what} ${certainty} give other ids than in Python, expected ${expected}. Give rows of token ids instead of text`,
  )
}

/** Parts around a Unigram model that were checked against transformers, id by id. */
const BESIDE_UNIGRAM = { normalizer: ['NFC', 'NFKC', 'Replace'], pre_tokenizer: ['WhitespaceSplit', 'Metaspace'] } as const

/** Classes with which transformers takes tokenizer.json as it is; most others build parts of it anew. */
const AS_IT_IS = /^(PreTrainedTokenizerFast|PreTrainedTokenizer|TokenizersBackend)$/

/**
 * BPE and Unigram are checked against transformers 5.17 on 230 texts each; WordPiece and WordLevel, which no decoder-only model in use has,
 * are not. What differs with Unigram: the package has no byte fallback (101 of 230 texts), and gives the sentencepiece normalization by
 * its idea of it, not by the file's table (4 of 230: joiners, two accents on a letter).
 */
function requireSupportedModel(file: string, { model, ...others }: JsonObject, config: JsonObject): void {
  // Without any, building it fails.
  if (!isPart(model)) return
  const { type, byte_fallback: bytes, merges } = model
  if (type === 'BPE' || (type === undefined && merges !== undefined)) return
  if (type !== 'Unigram') throw refusal(file, `a model of the type ${JSON.stringify(type)}`, 'BPE or Unigram', 'may')
  if (bytes) throw refusal(file, 'a Unigram model with byte_fallback', 'it without')
  const { tokenizer_class: named } = config
  if (typeof named === 'string' && !AS_IT_IS.test(named))
    throw refusal(file, `a Unigram model under the class ${named}, which builds it anew,`, 'PreTrainedTokenizerFast')
  for (const place of ['normalizer', 'pre_tokenizer'] as const) {
    const checked: readonly string[] = BESIDE_UNIGRAM[place]
    const other = parts(others[place]).find((part) => !checked.includes(String(part.type)) || part.split === false)
    if (other)
      throw refusal(
        file,
        `${place} ${other.type}${other.split === false ? ' without split' : ''} with a Unigram model`,
        checked.join(' or '),
      )
  }
}

/** What the package takes without a word and does otherwise than the library: better no ids than wrong ones. */
function requireSupported(file: string, { model, pre_tokenizer: pre, normalizer, added_tokens: added }: JsonObject): void {
  const refuse = (what: string, expected: string) => refusal(file, what, expected)
  if (isPart(model)) {
    if (model.dropout) throw refuse(`model.dropout ${model.dropout}`, 'none')
    if (model.type === 'BPE' && model.continuing_subword_prefix) throw refuse('model.continuing_subword_prefix', 'none')
    if (model.type === 'BPE' && model.end_of_word_suffix) throw refuse('model.end_of_word_suffix', 'none')
    if (model.type === 'BPE' && model.fuse_unk && !model.byte_fallback && model.unk_token)
      throw refuse('model.fuse_unk', 'byte_fallback with it')
  }
  if (parts(normalizer).some(({ type }) => type === 'Precompiled')) throw refuse('normalizer Precompiled', 'one without its table')
  const writesSpaces = parts(normalizer).some(({ type, content }) => type === 'Replace' && content === '▁')
  for (const part of parts(pre)) {
    const merged = part.type === 'Split' && !/^(isolated|removed)$/i.test(String(part.behavior)) && !isSpaceSplit(part, writesSpaces)
    if (merged) throw refuse(`pre_tokenizer Split with the behavior ${part.behavior}`, 'Isolated or Removed')
  }
  // The package does so for what follows such a token as well, where it has a normalizer to apply.
  const prepends =
    parts(normalizer).some(({ type }) => type === 'Prepend') ||
    (isPart(normalizer) && parts(pre).some(({ type, prepend_scheme: scheme }) => type === 'Metaspace' && scheme === 'first'))
  for (const token of Array.isArray(added) ? added.filter(isPart) : []) {
    const name = `the added token ${JSON.stringify(token.content)}`
    if (token.single_word) throw refuse(`${name} with single_word`, 'it without')
    if (token.normalized && prepends) throw refuse(`${name}, searched for in text with a space before it,`, 'normalized false')
  }
}

function isPart(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The steps of a normalizer or pre-tokenizer, one or a sequence of them. */
function parts(value: unknown): JsonObject[] {
  if (!isPart(value)) return []
  const inner = value.type === 'Sequence' ? (value.normalizers ?? value.pretokenizers) : null
  return Array.isArray(inner) ? inner.flatMap(parts) : [value]
}

function mapParts(value: unknown, change: (part: JsonObject) => JsonObject): unknown {
  if (!isPart(value)) return value
  if (value.type !== 'Sequence' || !Array.isArray(value.pretokenizers)) return change(value)
  return { ...value, pretokenizers: value.pretokenizers.map((part) => mapParts(part, change)) }
}

import type { ChatMessage } from '../../data/chat.ts'
import { loadTokenizer, type Tokenizer } from '../../data/tokenizer.ts'
import { breathe } from '../../engine/breathe.ts'
import type { EngineName } from '../../engine/engine.ts'
import { withEngine } from '../../engine/with-engine.ts'
import { modelFolder } from '../../hub/model-folder.ts'
import type { HubOptions } from '../../hub/settings.ts'
import { openMatrices } from '../../kernels/open.ts'
import { isWide, type OpenModel, openModel } from '../../models/open-model.ts'
import { UserError } from '../../util/errors.ts'
import { checkGenerate } from '../options.ts'
import { type GenerationDefaults, readGenerationDefaults } from './defaults.ts'
import { type Prompt, readPrompt } from './prompt.ts'
import { ResidentModel } from './resident-model.ts'
import { chooseToken, type Sampling } from './sample.ts'
import { TextStream } from './text-stream.ts'

/** A token as it is chosen. */
export interface GeneratedToken {
  readonly id: number
  /** 0 for the first new one. */
  readonly index: number
  /** The text that is certain with it: none where it is part of a character, more where it completes one. */
  readonly text: string
}

export interface GenerateOptions extends HubOptions {
  /** A checkpoint folder, original or compressed, or org/name on the hub. */
  model: string
  /** The text to go on from; or `messages`, which the model's chat template writes. */
  prompt?: string
  messages?: readonly ChatMessage[]
  /** So many new tokens at most; 50 by default. */
  maxNewTokens?: number
  /** So many tokens at most, those of the prompt among them, in place of `maxNewTokens`. */
  maxLength?: number
  /** The most likely token each time, in place of sampling. */
  greedy?: boolean
  /** Divides the logits; what generation_config.json asks for by default, or 1. */
  temperature?: number
  /** Of so many of the most likely tokens one is drawn, 0 for all; what generation_config.json asks for by default, or 30. */
  topK?: number
  /** Of the most likely tokens that have so much of the probability one is drawn; what generation_config.json asks for by default, or 1. */
  topP?: number
  /** Of the draws, 0 by default: checkpoints that are asked with one seed get the same. */
  seed?: number
  /** Texts to stop at, which are left out. */
  stop?: readonly string[]
  engine?: EngineName | 'auto'
  threads?: number
  /** Called before each linear is read. */
  onLoad?(linear: number, of: number): void
  /** Called once, with the prompt as the model reads it, before the first token. */
  onPrompt?(text: string): void
  onToken?(token: GeneratedToken): void
}

export interface Generated {
  /** What was written, without special tokens. */
  text: string
  /** The prompt as the model read it: of messages what the chat template made of them. */
  prompt: string
  /** New tokens, the one that ended the text among them. */
  ids: number[]
  promptTokens: number
  newTokens: number
  /** Why it ends: the model said so, a text to stop at, as many tokens as were asked for, or as many as the model has positions. */
  finish: 'end' | 'stop' | 'length' | 'context'
  /** What tokens were chosen with. */
  sampling: Sampling
  /** Bytes of the weights in memory. */
  weightBytes: number
  /** To load the weights, to read the prompt up to the first token, for the other tokens. */
  seconds: { load: number; prompt: number; tokens: number }
  warnings: string[]
}

/** Of what is not said. */
const NEW_TOKENS = 50
const SAMPLING: Sampling = { greedy: false, temperature: 1, topK: 30, topP: 1, seed: 0 }

/**
 * Goes on from a prompt with a checkpoint, original or compressed: linears are computed with as they are stored, inputs and cache quantized
 * as the scheme says. Calls take turns where a process starts several. Errors: UserError and its kinds, before the weights are read where it
 * can be known; the signal's reason.
 */
export async function generate(options: GenerateOptions): Promise<Generated> {
  checkGenerate(options)
  const folder = await modelFolder(options.model, options)
  const source = await openModel(folder.path)
  try {
    return { ...(await generateFrom(source, options)), warnings: [...folder.warnings] }
  } finally {
    await source.close()
  }
}

/** The same with a model that is open, or a view of one; `model` names it in messages. Errors: as `generate`. */
export async function generateFrom(source: OpenModel, options: GenerateOptions): Promise<Omit<Generated, 'warnings'>> {
  const { model, engine = 'auto', threads, signal } = options
  const tokenizer = await loadTokenizer(source.path)
  const prompt = readPrompt(options.prompt, options.messages, tokenizer, model)
  const defaults = await readGenerationDefaults(source.path, source.config)
  const limit = tokenLimit(options, prompt.ids.length, source)
  const work = () => writeText(source, tokenizer, prompt, defaults, limit, options)
  return withEngine({ engine, givesBack: isWide(source), ...(threads && { threads }), ...(signal && { signal }) }, work)
}

/** Errors: UserError for a prompt that is empty, or leaves no room for another token. */
export async function requireRoom(source: OpenModel, options: GenerateOptions): Promise<void> {
  const prompt = readPrompt(options.prompt, options.messages, await loadTokenizer(source.path), options.model)
  tokenLimit(options, prompt.ids.length, source)
}

/** Tokens that a text may have in all, and whether it is the model that has no more positions. */
interface Limit {
  readonly tokens: number
  readonly isContext: boolean
}

function tokenLimit({ maxLength, maxNewTokens = NEW_TOKENS }: GenerateOptions, prompt: number, { model, name }: OpenModel): Limit {
  const { maxPositions } = model
  if (prompt >= maxPositions)
    throw new UserError(
      `Cannot generate with ${name}: the prompt has ${prompt} tokens and the model ${maxPositions} positions, expected a shorter prompt.`,
    )
  if (maxLength !== undefined && prompt >= maxLength)
    throw new UserError(`Cannot generate at most ${maxLength} tokens in all: the prompt has ${prompt}, expected fewer, or a larger limit.`)
  const wanted = maxLength ?? prompt + maxNewTokens
  return { tokens: Math.min(wanted, maxPositions), isContext: wanted > maxPositions }
}

async function writeText(
  source: OpenModel,
  tokenizer: Tokenizer,
  prompt: Prompt,
  defaults: GenerationDefaults,
  limit: Limit,
  options: GenerateOptions,
): Promise<Omit<Generated, 'warnings'>> {
  const sampling = samplingOf(options, defaults)
  const started = performance.now()
  const matrices = await openMatrices({ threads: options.threads })
  let resident: ResidentModel | undefined
  try {
    resident = await ResidentModel.read(source, matrices, (linear, of) => {
      options.signal?.throwIfAborted()
      options.onLoad?.(linear, of)
    })
    const loaded = performance.now()
    options.onPrompt?.(prompt.text)
    const written = await writeTokens(resident, tokenizer, prompt.ids, defaults.ends, limit, sampling, options)
    const { first, ...rest } = written
    return {
      ...rest,
      prompt: prompt.text,
      promptTokens: prompt.ids.length,
      newTokens: rest.ids.length,
      sampling,
      weightBytes: matrices.bytes,
      seconds: { load: (loaded - started) / 1000, prompt: (first - loaded) / 1000, tokens: (performance.now() - first) / 1000 },
    }
  } finally {
    resident?.dispose()
    await matrices.close()
  }
}

function samplingOf(options: GenerateOptions, defaults: GenerationDefaults): Sampling {
  const { greedy = SAMPLING.greedy, seed = SAMPLING.seed } = options
  const { temperature, topK, topP } = { ...SAMPLING, ...defaults.sampling }
  return { greedy, temperature: options.temperature ?? temperature, topK: options.topK ?? topK, topP: options.topP ?? topP, seed }
}

/** Token by token; `first`: when the first was chosen. */
async function writeTokens(
  resident: ResidentModel,
  tokenizer: Tokenizer,
  prompt: readonly number[],
  ends: ReadonlySet<number>,
  limit: Limit,
  sampling: Sampling,
  { stop = [], signal, onToken }: GenerateOptions,
): Promise<Pick<Generated, 'text' | 'ids' | 'finish'> & { first: number }> {
  const stream = new TextStream(tokenizer, prompt, stop)
  const sequence = resident.begin(1, limit.tokens)
  const ids: number[] = []
  let finish: Generated['finish'] = limit.isContext ? 'context' : 'length'
  let logits = await sequence.read(Int32Array.from(prompt), signal)
  let first = 0
  for (;;) {
    const id = chooseToken(logits, sampling, ids.length)
    if (first === 0) first = performance.now()
    ids.push(id)
    const isEnd = ends.has(id)
    const isLast = prompt.length + ids.length >= limit.tokens
    let text = isEnd ? '' : stream.push(id)
    if (isEnd || (isLast && !stream.stopped)) text += stream.end()
    onToken?.({ id, index: ids.length - 1, text })
    if (isEnd) finish = 'end'
    else if (stream.stopped) finish = 'stop'
    if (isEnd || isLast || stream.stopped) return { text: stream.text, ids, finish, first }
    await breathe()
    signal?.throwIfAborted()
    logits = await sequence.read(Int32Array.of(id))
  }
}

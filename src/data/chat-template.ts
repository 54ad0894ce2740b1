import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Template } from '@huggingface/jinja'
import { DataError } from '../util/errors.ts'
import type { ChatMessage } from './chat.ts'
import { type JsonObject, readJsonObject } from './json-object.ts'
import { PRINTING, printAsPython } from './python-printing.ts'

/**
 * A conversation as the model reads it, with `forAnswer` up to where its answer begins. Errors: DataError where the template refuses it.
 */
export type RenderChat = (messages: readonly ChatMessage[], where: string, options?: { readonly forAnswer?: boolean }) => string

/**
 * The date that templates see. Llama 3.1's writes today's date into every conversation; the same input must give the same bytes tomorrow,
 * so it is the one that this template falls back on itself.
 */
const DATE = new Date(Date.UTC(2024, 6, 26))

/** The package has a strftime_now of its own, which cannot be left out. The line end goes with the block. */
const FIXED_DATE = '{% set strftime_now = fixed_date %}\n'

const SPECIAL = ['bos_token', 'eos_token', 'pad_token', 'unk_token', 'sep_token', 'cls_token', 'mask_token']

/**
 * The chat template of a model folder: chat_template.jinja, `chat_template` in tokenizer_config.json (one text, or several by name, of
 * which `default` counts), or chat_template.json. Null where there is none. Rendered as transformers 5's apply_chat_template does, with
 * neither tools nor documents. Errors: DataError for one that is no template.
 */
export async function loadChatTemplate(modelDir: string, config: JsonObject): Promise<RenderChat | null> {
  const found = await findTemplate(modelDir, config)
  if (found === null) return null
  const template = parse(found.source, found.file)
  const tokens = await specialTokens(modelDir, config)
  const specials = Object.fromEntries(SPECIAL.flatMap((name) => specialToken(name, tokens[name])))
  return (messages, where, { forAnswer = false } = {}) => {
    try {
      return template.render({
        ...specials,
        messages: messages.map((message) => ({ ...message })),
        tools: null,
        documents: null,
        add_generation_prompt: forAnswer,
        fixed_date: formatDate,
        ...PRINTING,
      })
    } catch (error) {
      throw new DataError(
        `Cannot render ${where} with the chat template of ${found.file}: ${error instanceof Error ? error.message : error}, expected a conversation that it takes`,
      )
    }
  }
}

async function findTemplate(modelDir: string, config: JsonObject): Promise<{ source: string; file: string } | null> {
  const jinja = join(modelDir, 'chat_template.jinja')
  if (existsSync(jinja)) return { source: await readFile(jinja, 'utf8'), file: jinja }
  const own = textOf(config.chat_template)
  if (own !== null) return { source: own, file: join(modelDir, 'tokenizer_config.json') }
  const json = join(modelDir, 'chat_template.json')
  const other = existsSync(json) ? textOf((await readJsonObject(json)).chat_template) : null
  return other === null ? null : { source: other, file: json }
}

function textOf(template: unknown): string | null {
  if (typeof template === 'string') return template
  if (!Array.isArray(template)) return null
  const named = template.find((item: unknown) => typeof item === 'object' && item !== null && 'name' in item && item.name === 'default')
  return typeof named?.template === 'string' ? named.template : null
}

/** With trim_blocks and lstrip_blocks, which transformers sets too and the package always has. */
function parse(source: string, file: string): Template {
  try {
    const template = new Template(FIXED_DATE + withoutGenerationMarks(source))
    printAsPython(template)
    return template
  } catch (error) {
    throw new DataError(`Cannot read the chat template of ${file}: ${error instanceof Error ? error.message : error}, expected Jinja`)
  }
}

/** Marks of what the model wrote, for training: transformers prints what stands between them, and the package does not know them. */
function withoutGenerationMarks(source: string): string {
  return source.replace(/\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}/g, (_, before: string, end: string | undefined, after: string) => {
    return `{%${before} ${end ? 'endif' : 'if true'} ${after}%}`
  })
}

/** Older models keep theirs in special_tokens_map.json, which transformers 5 reads where tokenizer_config.json lists no added tokens. */
async function specialTokens(modelDir: string, config: JsonObject): Promise<JsonObject> {
  const file = join(modelDir, 'special_tokens_map.json')
  if (config.added_tokens_decoder !== undefined || !existsSync(file)) return config
  return { ...config, ...(await readJsonObject(file)) }
}

/** Stored as a text, or as an added token. */
function specialToken(name: string, value: unknown): [string, string][] {
  if (typeof value === 'string') return [[name, value]]
  if (typeof value !== 'object' || value === null || !('content' in value) || typeof value.content !== 'string') return []
  return [[name, value.content]]
}

const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']

/** The directives of strftime that templates use. */
function formatDate(format: unknown): string {
  const two = (value: number) => String(value).padStart(2, '0')
  const parts: Readonly<Record<string, string>> = {
    d: two(DATE.getUTCDate()),
    m: two(DATE.getUTCMonth() + 1),
    y: two(DATE.getUTCFullYear() % 100),
    Y: String(DATE.getUTCFullYear()),
    b: MONTHS[DATE.getUTCMonth()].slice(0, 3),
    B: MONTHS[DATE.getUTCMonth()],
    a: DAYS[DATE.getUTCDay()].slice(0, 3),
    A: DAYS[DATE.getUTCDay()],
    H: '00',
    M: '00',
    S: '00',
    '%': '%',
  }
  return String(format).replace(/%([a-zA-Z%])/g, (whole, directive: string) => parts[directive] ?? whole)
}

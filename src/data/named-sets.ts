import { DataError } from '../util/errors.ts'
import { type ChatMessage, chatMessages } from './chat.ts'
import type { DataItem, ItemForm } from './data-item.ts'
import type { DataRecord } from './data-record.ts'
import { kindOf } from './kind-of.ts'
import type { Purpose } from './purpose.ts'

/** A well-known set of the hub: where it stands and what its rows mean. */
export interface NamedSet {
  /** The dataset's id on the hub, and its revision where the files wanted are not on main. */
  readonly repo: string
  /** The subset, `wikitext-2-raw-v1`, for sets that have several; null for those that have one. */
  readonly config: string | null
  readonly splits: Readonly<Record<Purpose, string>>
  /** Other names of its splits. */
  readonly aliases?: Readonly<Record<string, string>>
  /** What the path of a split's file matches; null where the usual patterns find it. */
  files?(config: string | null, split: string): RegExp
  readonly form: ItemForm
  /** One row a document cut to length, where rows are short or conversations; else documents are packed. */
  readonly rows: 'pack' | 'truncate'
}

const text = (column = 'text'): ItemForm => ({
  columns: (there) => needed([column], there),
  // Blank rows are part of some sets (wikitext has one between paragraphs): joined like the others, which gives the published text.
  item: (record) => ({ kind: 'text', text: cell(record, column), where: record.where }),
})

/** Columns, splits and paths as the sets have them on the hub; llm-compressor 0.14 names the same ones. */
const SETS: readonly { names: readonly string[]; set: NamedSet }[] = [
  {
    names: ['ultrachat_200k', 'ultrachat', 'HuggingFaceH4/ultrachat_200k'],
    set: {
      repo: 'HuggingFaceH4/ultrachat_200k',
      config: null,
      splits: { calibration: 'train_sft', evaluation: 'test_sft' },
      aliases: { train: 'train_sft', test: 'test_sft' },
      form: {
        columns: (there) => needed(['messages'], there),
        item: ({ value, where }) => ({ kind: 'chat', messages: messagesOf(value, where), where }),
      },
      rows: 'truncate',
    },
  },
  {
    names: ['pile-val-backup', 'pile', 'mit-han-lab/pile-val-backup'],
    set: {
      repo: 'mit-han-lab/pile-val-backup',
      config: null,
      splits: { calibration: 'validation', evaluation: 'validation' },
      aliases: { val: 'validation' },
      files: () => /^val\.jsonl(\.zst)?$/,
      form: text(),
      rows: 'pack',
    },
  },
  {
    names: ['c4', 'allenai/c4'],
    set: {
      repo: 'allenai/c4',
      config: 'en',
      splits: { calibration: 'train', evaluation: 'validation' },
      // The first of 1024 (or 8) shards, as the code of GPTQ and AWQ has it: a shard is 356,000 documents.
      files: (config, split) => new RegExp(`^${config}/c4-${split}\\.00000-of-\\d+\\.json(\\.gz)?$`),
      form: text(),
      rows: 'pack',
    },
  },
  {
    names: ['wikitext', 'Salesforce/wikitext'],
    set: {
      repo: 'Salesforce/wikitext',
      config: 'wikitext-2-raw-v1',
      splits: { calibration: 'train', evaluation: 'test' },
      form: text(),
      rows: 'pack',
    },
  },
  {
    names: ['open-platypus', 'open_platypus', 'garage-bAInd/Open-Platypus'],
    set: {
      repo: 'garage-bAInd/Open-Platypus',
      config: null,
      splits: { calibration: 'train', evaluation: 'train' },
      form: { columns: (there) => needed(['instruction', 'input', 'output'], there), item: instruction },
      rows: 'truncate',
    },
  },
  {
    names: ['gsm8k', 'openai/gsm8k'],
    set: {
      repo: 'openai/gsm8k',
      config: 'main',
      splits: { calibration: 'train', evaluation: 'test' },
      form: {
        columns: (there) => needed(['question', 'answer'], there),
        item: (record) => ({
          kind: 'text',
          text: `Question: ${cell(record, 'question')}\nAnswer: ${cell(record, 'answer')}`,
          where: record.where,
        }),
      },
      rows: 'truncate',
    },
  },
]

/** The names of the sets, the shortest of each. */
export const NAMED_SETS: readonly string[] = SETS.map(({ names }) => names[0])

/** A set by one of its names, in any case; null for a name that is none. */
export function namedSet(name: string): NamedSet | null {
  const lower = name.toLowerCase()
  return SETS.find(({ names }) => names.some((known) => known.toLowerCase() === lower))?.set ?? null
}

function needed(columns: readonly string[], there: readonly string[]): readonly string[] {
  const missing = columns.find((column) => !there.includes(column))
  if (missing === undefined) return columns
  throw new DataError(
    `Cannot read the dataset: found the columns ${there.join(', ')}, expected "${missing}" among them. Has the set changed?`,
  )
}

function cell({ value, where }: DataRecord, column: string): string {
  const found = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[column] : undefined
  if (typeof found === 'string') return found
  throw new DataError(`Cannot read data from ${where}: "${column}" holds ${kindOf(found)}, expected a text`)
}

function messagesOf(value: unknown, where: string): ChatMessage[] {
  const found = typeof value === 'object' && value !== null && 'messages' in value ? value.messages : undefined
  if (Array.isArray(found)) return chatMessages(found, where)
  throw new DataError(`Cannot read data from ${where}: "messages" holds ${kindOf(found)}, expected a list of messages`)
}

/** Instruction and answer as a conversation, so that the model's own template words them. */
function instruction(record: DataRecord): DataItem {
  const [task, input] = [cell(record, 'instruction'), cell(record, 'input')]
  const messages = [
    { role: 'user', content: input.trim() === '' ? task : `${task}\n\n${input}` },
    { role: 'assistant', content: cell(record, 'output') },
  ]
  return { kind: 'chat', messages, where: record.where }
}

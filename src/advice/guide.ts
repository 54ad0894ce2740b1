import { readFile } from 'node:fs/promises'
import { UserError } from '../util/errors.ts'
import { didYouMean } from '../util/nearest.ts'
import { GUIDE_TOPICS, type GuideTopic } from '../util/see-guide.ts'

/** A piece of a part of the guide. */
export type GuideBlock =
  /** A paragraph, on one line; of a list `item` is true. */
  | { readonly kind: 'text'; readonly text: string; readonly item: boolean }
  | { readonly kind: 'table'; readonly columns: readonly string[]; readonly rows: readonly (readonly string[])[] }
  /** Lines as they stand; `language` is empty for commands. */
  | { readonly kind: 'code'; readonly language: string; readonly lines: readonly string[] }

/** A part of the guide. */
export interface GuidePart {
  readonly topic: GuideTopic
  readonly title: string
  /** As docs/guide.md has it, without title and marker. */
  readonly markdown: string
  readonly blocks: readonly GuideBlock[]
  /** The commands in it. */
  readonly commands: readonly string[]
}

const GUIDE = new URL('../../docs/guide.md', import.meta.url)

/** Reads docs/guide.md, which the package ships: its parts in their order. */
export async function readGuide(): Promise<GuidePart[]> {
  const text = await readFile(GUIDE, 'utf8')
  return text
    .split(/^## /m)
    .slice(1)
    .map((part) => {
      const [, title, wanted, body] = /^(.*)\n+<!-- topic: (.*) -->\n([\s\S]*)$/.exec(part) ?? []
      const markdown = (body ?? '').trim()
      const blocks = blocksOf(markdown)
      const commands = blocks.flatMap((block) => (block.kind === 'code' && block.language === '' ? block.lines : []))
      return { topic: topicOf(wanted ?? ''), title, markdown, blocks, commands }
    })
}

/** One part of the guide. Errors: UserError with the nearest topic for one that it does not have. */
export async function explain(topic: string): Promise<GuidePart> {
  const wanted = topicOf(topic)
  const [part] = (await readGuide()).filter((own) => own.topic === wanted)
  return part
}

function topicOf(wanted: string): GuideTopic {
  const topic = GUIDE_TOPICS.find((name) => name === wanted.toLowerCase())
  if (topic) return topic
  throw new UserError(
    `Cannot explain ${JSON.stringify(wanted)}: the guide has no such part${didYouMean(wanted, GUIDE_TOPICS)}, expected one of ${GUIDE_TOPICS.join(', ')}.`,
  )
}

/** The subset of Markdown that the guide is written in: paragraphs, lists of one level, tables and code. */
function blocksOf(markdown: string): GuideBlock[] {
  const blocks: GuideBlock[] = []
  let paragraph: string[] = []
  const end = () => {
    const [first] = paragraph
    if (first !== undefined) {
      const item = first.startsWith('- ')
      blocks.push({ kind: 'text', item, text: paragraph.join(' ').slice(item ? 2 : 0) })
    }
    paragraph = []
  }
  const lines = markdown.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]
    if (line.startsWith('```')) {
      end()
      const close = lines.indexOf('```', i + 1)
      blocks.push({ kind: 'code', language: line.slice(3), lines: lines.slice(i + 1, close) })
      i = close
    } else if (line.startsWith('|')) {
      end()
      const rows: string[][] = []
      for (; lines[i]?.startsWith('|'); i++) rows.push(cellsOf(lines[i]))
      i--
      const [columns, , ...rest] = rows
      blocks.push({ kind: 'table', columns, rows: rest })
    } else if (line.trim() === '') end()
    else {
      if (line.startsWith('- ')) end()
      paragraph.push(line.trim())
    }
  }
  end()
  return blocks
}

function cellsOf(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
}

import type { Command } from 'commander'
import type { GuideBlock, GuidePart } from '../advice/guide.ts'
import { GUIDE_TOPICS } from '../util/see-guide.ts'
import { colorsFor } from './colors.ts'
import { print, printJson } from './output.ts'
import { jsonOption } from './shared-options.ts'
import { facts, table } from './tables.ts'
import { wrapText } from './wrap-text.ts'

const EXAMPLES = `
Examples:
  $ llmpress explain
  $ llmpress explain purpose
  $ llmpress explain memory`

/** `llmpress explain [TOPIC]`: one part of docs/guide.md. */
export function addExplain(program: Command): void {
  program
    .command('explain')
    .summary('print a part of the guide: which method for what, and what to do when something goes wrong')
    .description(
      'Prints one part of docs/guide.md: which method to take, what each precision takes in memory, and remedies for what goes wrong. Without a topic: what there is.',
    )
    .argument('[topic]', GUIDE_TOPICS.join(', '))
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runExplain)
}

async function runExplain(topic: string | undefined, { json = false }: { json?: boolean }): Promise<void> {
  const { explain, readGuide } = await import('../index.ts')
  if (topic !== undefined) {
    const part = await explain(topic)
    if (json) printJson(part)
    else print(describePart(part))
    return
  }
  const parts = await readGuide()
  if (json) printJson(parts.map(({ topic: name, title }) => ({ topic: name, title })))
  else print(`${facts(parts.map(({ topic: name, title }) => [name, title]))}\n\nllmpress explain TOPIC prints one.`)
}

/** Columns that text is wrapped at, where the terminal does not say, or is wider than one reads with ease. */
const WIDTH = 100

function describePart({ title, blocks }: GuidePart): string {
  const { bold } = colorsFor(process.stdout)
  const width = Math.max(40, Math.min(WIDTH, process.stdout.columns ?? WIDTH))
  let text = bold(title)
  for (const [i, block] of blocks.entries()) {
    const before = blocks[i - 1]
    const inList = block.kind === 'text' && block.item && before?.kind === 'text' && before.item
    text += `${inList ? '\n' : '\n\n'}${describeBlock(block, width)}`
  }
  return text
}

function describeBlock(block: GuideBlock, width: number): string {
  const { cyan } = colorsFor(process.stdout)
  switch (block.kind) {
    case 'text':
      return block.item ? wrapText(plain(block.text), width, '- ', '  ') : wrapText(plain(block.text), width)
    case 'code':
      return block.lines.map((line) => `  ${cyan(line)}`).join('\n')
    case 'table':
      return describeTable(
        block.columns.map(plain),
        block.rows.map((row) => row.map(plain)),
        width,
      )
  }
}

/** A table where it fits the width, else each row under its first cell. */
function describeTable(columns: readonly string[], rows: readonly (readonly string[])[], width: number): string {
  const drawn = table(
    columns.map((title) => ({ title })),
    rows,
  )
  const widths = columns.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)))
  if (widths.reduce((sum, own) => sum + own + 2, -2) <= width) return drawn
  const { bold, dim } = colorsFor(process.stdout)
  return rows
    .map(([first, ...cells]) =>
      [bold(first), ...cells.map((cell, i) => wrapText(`${dim(`${columns[i + 1]}:`)} ${cell}`, width, '  ', '    '))].join('\n'),
    )
    .join('\n\n')
}

/** Without marks: code as it is, links by their text. */
function plain(markdown: string): string {
  return markdown.replaceAll('`', '').replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
}

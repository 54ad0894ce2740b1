import { readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { replaceDurably } from '../checkpoint/durable.ts'
import { writeError } from '../checkpoint/write-error.ts'
import { FIGURE_FORMATS, type FigureFormat } from '../report/draw.ts'
import { UserError } from '../util/errors.ts'
import { makeFolder } from '../util/make-folder.ts'
import { print, printJson } from './output.ts'
import { jsonOption } from './shared-options.ts'

interface Flags {
  output?: string
  format: 'html' | FigureFormat
  theme: 'light' | 'dark'
  linear?: string
  overwrite?: boolean
  json?: boolean
}

const EXAMPLES = `
Examples:
  $ llmpress report ./model-gptq-w4a16                          # makes its report.html anew
  $ llmpress report ./model-rtn ./model-gptq -o comparison.html # several runs on one page
  $ llmpress report ./model-gptq-w4a16 --format svg -o figures  # each figure as a file`

/** `llmpress report DIR...`: what runs did, on one page, or figure by figure. */
export function addReport(program: Command): void {
  program
    .command('report')
    .summary('show what runs did, side by side')
    .description('Makes one self-contained page about finished runs, or writes each of its figures as a file. Prints what was written.')
    .argument('<dir...>', 'folders that oneshot or compress wrote')
    .option(
      '-o, --output <path>',
      'the page (default: report.html in the folder of one run, comparison.html for several); with --format, the folder for figures (default: figures)',
    )
    .addOption(new Option('--format <format>', 'a page, or each figure as a file').choices(['html', ...FIGURE_FORMATS]).default('html'))
    .addOption(new Option('--theme <theme>', 'colours of svg and png').choices(['light', 'dark']).default('light'))
    .option('--linear <name>', 'the linear whose weights and inputs are drawn in files (default: the one that loses most)')
    .option('--overwrite', 'replace files of other making')
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runReport)
}

async function runReport(folders: string[], { output, format, theme, linear, overwrite = false, json = false }: Flags): Promise<void> {
  const { readRuns, reportFigures } = await import('../report/report.ts')
  const runs = await readRuns(folders)
  if (linear !== undefined) requireLinear(linear, runs)
  for (const run of runs) {
    if (!run.stages)
      process.stderr.write(
        `warning: ${run.name}: no statistics (its report.html is gone or is of another run), so no histograms and no inputs\n`,
      )
  }
  const written: string[] = []
  if (format === 'html') {
    const { reportPage } = await import('../report/page.ts')
    const path = resolve(output ?? (folders.length === 1 ? join(folders[0], 'report.html') : 'comparison.html'))
    await write(path, await reportPage(runs), { isPage: true, overwrite })
    written.push(path)
  } else {
    const folder = resolve(output ?? 'figures')
    for (const { name, content } of await reportFigures(runs, { format, theme, ...(linear !== undefined && { linear }) })) {
      await write(join(folder, name), content, { isPage: false, overwrite })
      written.push(join(folder, name))
    }
  }
  if (json) printJson({ files: written })
  else print(written.join('\n'))
}

function requireLinear(wanted: string, runs: readonly { name: string; linears: readonly { name: string }[] }[]): void {
  if (runs.some(({ linears }) => linears.some(({ name }) => name === wanted))) return
  throw new UserError(
    `Cannot draw ${wanted}: none of these runs compressed a linear of that name, expected one such as ${runs[0].linears[0]?.name}.`,
  )
}

/** How a page of ours begins; figures are ours by their folder. */
const OURS = '<!doctype html>'

async function write(
  path: string,
  content: string | Uint8Array,
  { isPage, overwrite }: { isPage: boolean; overwrite: boolean },
): Promise<void> {
  try {
    await makeFolder(dirname(path))
    if (isPage && !overwrite) await requireOurs(path)
    await replaceDurably(path, content)
  } catch (cause) {
    throw cause instanceof UserError ? cause : writeError(cause, path)
  }
}

async function requireOurs(path: string): Promise<void> {
  const there = await readFile(path, 'utf8').catch(() => null)
  if (there === null || (there.startsWith(OURS) && there.slice(0, 2000).includes('name="generator" content="llmpress'))) return
  throw new UserError(`Cannot write ${path}: found another file there, expected none or an earlier report; --overwrite replaces it.`)
}

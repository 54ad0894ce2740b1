import { basename, dirname, join, resolve } from 'node:path'
import { drawPng, drawSvg, type FigureFormat, figureCsv, figureMarkdown } from './draw.ts'
import type { Figure } from './page/chart.js'
import { comparisonFigures } from './page/comparison-figures.js'
import { linearFigures } from './page/linear-figures.js'
import { runFigures } from './page/run-figures.js'
import type { THEMES } from './page/theme.js'
import { reportPage } from './page.ts'
import { readRun } from './read-run.ts'
import type { ReportRun } from './report-run.ts'
import { reportRun } from './run-data.ts'

/** A file that a report is made of. */
export interface ReportFile {
  readonly name: string
  readonly content: string | Uint8Array
}

export interface FigureOptions {
  readonly format: FigureFormat
  readonly theme?: keyof typeof THEMES
  /** The linear whose weights and inputs are drawn; the one that loses most by default. */
  readonly linear?: string
}

/** What is known of finished runs, by their folders. Errors: CheckpointError for a folder that is not a finished run's. */
export async function readRuns(folders: readonly string[]): Promise<ReportRun[]> {
  const written = await Promise.all(folders.map(readRun))
  const isAmbiguous = (name: string) => written.filter((own) => own.name === name).length > 1
  return written.map((own, i) => {
    const path = resolve(folders[i])
    return reportRun({ ...own, name: isAmbiguous(own.name) ? join(basename(dirname(path)), own.name) : own.name })
  })
}

/** One page about the runs of these folders. Errors: as `readRuns`. */
export async function report(...folders: string[]): Promise<string> {
  return reportPage(await readRuns(folders))
}

/** Every figure about some runs as a file: those that compare, then those of each run. */
export async function reportFigures(runs: readonly ReportRun[], { format, theme = 'light', linear }: FigureOptions): Promise<ReportFile[]> {
  const files: ReportFile[] = []
  const add = async (name: string, figure: Figure) => {
    files.push({ name: `${name}.${format}`, content: await contentOf(figure, format, theme) })
  }
  for (const figure of comparisonFigures(runs)) await add(figure.id, figure)
  for (const run of runs) {
    const prefix = runs.length > 1 ? `${run.name.replaceAll(/[^\w.-]+/g, '-')}-` : ''
    for (const figure of [...runFigures(run), ...linearFigures(run, linear ?? worst(run))]) await add(`${prefix}${figure.id}`, figure)
  }
  return files
}

function worst({ linears }: ReportRun): string {
  return linears.reduce((most, own) => (own.error > (most?.error ?? -1) ? own : most), linears[0])?.name ?? ''
}

async function contentOf(figure: Figure, format: FigureFormat, theme: keyof typeof THEMES): Promise<string | Uint8Array> {
  switch (format) {
    case 'svg':
      return drawSvg(figure, theme)
    case 'png':
      return drawPng(figure, theme)
    case 'csv':
      return figureCsv(figure)
    case 'md':
      return figureMarkdown(figure)
  }
}

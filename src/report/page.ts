import { readAssets } from './assets.ts'
import { comparisonTable } from './comparison-table.ts'
import { type Html, html, raw } from './html.ts'
import { comparisonFigures } from './page/comparison-figures.js'
import type { ReportRun } from './report-run.ts'
import { figureShell, runSections } from './run-sections.ts'
import { shell } from './shell.ts'

/** A report that stands beside each checkpoint. */
export const PAGE_FILE = 'report.html'

/** The page's data for scripts: what `readPageData` looks for. */
export const DATA_ID = 'llmpress-runs'

/** One self-contained page about one run, or about several side by side. Makes no request when it is opened. */
export async function reportPage(runs: readonly ReportRun[]): Promise<string> {
  const [{ name, record }] = runs
  const content = {
    title: runs.length === 1 ? name : `${runs.length} runs compared`,
    kicker: 'llmpress report',
    sub: runs.length === 1 ? subtitle(runs[0]) : runs.map((run) => run.name).join(' · '),
    llmpress: record.llmpress,
    main: [
      runs.length > 1 ? comparison(runs) : null,
      ...runs.map((run, i) => html`<article data-run="${i}"${i > 0 ? raw(' hidden') : null}>${runSections(run)}</article>`),
    ],
    data: { id: DATA_ID, value: runs },
  }
  return shell(content, await readAssets('page.js')).markup
}

function subtitle({ record, linears }: ReportRun): string {
  const schemes = [...new Set(linears.map(({ scheme }) => scheme))]
  return `${record.model} · ${schemes.join(', ') || 'nothing compressed'} · recipe ${record.recipe.name}`
}

function comparison(runs: readonly ReportRun[]): Html {
  return html`<section aria-label="Comparison">
<h2>Side by side</h2>
${comparisonTable(runs)}
${comparisonFigures(runs).map(figureShell)}
</section>
<div class="tabs" role="tablist" aria-label="Runs">
${runs.map(({ name }, i) => html`<button type="button" role="tab" aria-selected="${i === 0 ? 'true' : 'false'}" tabindex="${i === 0 ? 0 : -1}">${name}</button>`)}
</div>`
}

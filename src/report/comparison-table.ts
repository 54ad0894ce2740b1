import { type Html, html } from './html.ts'
import type { ReportRun } from './report-run.ts'

/** The key figures of several runs, a column each. */
export function comparisonTable(runs: readonly ReportRun[]): Html {
  const { columns, rows } = comparisonRows(runs)
  return html`<div class="card"><div class="scroll"><table>
<thead><tr>${columns.map((title) => html`<th scope="col">${title}</th>`)}</tr></thead>
<tbody>${rows.map(([name, ...cells]) => html`<tr><th scope="row">${name}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody>
</table></div></div>`
}

/** The same as cells: a row for each key figure that a run has. */
function comparisonRows(runs: readonly ReportRun[]): { columns: string[]; rows: string[][] } {
  const names = [...new Set(runs.flatMap(({ figures }) => figures.map(({ name }) => name)))]
  const cell = (run: ReportRun, name: string) => {
    const figure = run.figures.find((own) => own.name === name)
    return figure ? `${figure.value} (${figure.note})` : ''
  }
  return {
    columns: ['', ...runs.map(({ name }) => name)],
    rows: [
      ...names.map((name) => [name, ...runs.map((run) => cell(run, name))]),
      ['Recipe', ...runs.map(({ record }) => record.recipe.name)],
      ['Warnings', ...runs.map(({ record }) => String(record.warnings.length))],
    ],
  }
}

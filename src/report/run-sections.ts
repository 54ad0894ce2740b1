import { formatBytes, formatCount, formatNumber, formatPercent } from '../util/format.js'
import { type Html, html } from './html.ts'
import type { Figure } from './page/chart.js'
import { runFigures } from './page/run-figures.js'
import type { ReportRun, Sample, Suggestion } from './report-run.ts'

/** Rows of a table on a page; `llmpress report --format csv` writes all. */
const ROWS = 600

/** A figure's place on the page: title, note, chart, and the numbers behind it as a table. */
export function figureShell({ id, title, note, height, table }: Figure): Html {
  return html`<figure class="card" data-figure="${id}">
<figcaption><h3>${title}</h3><p class="note">${note}</p></figcaption>
<div class="chart" role="img" aria-label="${title}" style="height:${height}px"></div>
<details><summary>Numbers</summary>${tableOf(table)}</details>
</figure>`
}

function tableOf({ columns, rows }: Figure['table']): Html {
  const left = rows.length - ROWS
  const isLinear = columns[0] === 'Linear'
  const cell = (value: string | number | null, column: number) => {
    if (isLinear && column === 0) return html`<td><button type="button" data-linear="${value}">${value}</button></td>`
    return typeof value === 'number' ? html`<td class="number">${shownNumber(columns[column], value)}</td>` : html`<td>${value}</td>`
  }
  return html`<div class="scroll" tabindex="0"><table>
<thead><tr>${columns.map((column) => html`<th scope="col">${column}</th>`)}</tr></thead>
<tbody>${rows.slice(0, ROWS).map((row) => html`<tr>${row.map(cell)}</tr>`)}</tbody>
</table></div>${left > 0 ? html`<p class="note">${formatCount(left)} more: llmpress report --format csv has all.</p>` : null}`
}

function shownNumber(column: string, value: number): string {
  if (/error|held back|rounding/i.test(column)) return formatPercent(value)
  if (/bytes/i.test(column)) return formatBytes(value)
  return Number.isInteger(value) ? formatCount(value) : formatNumber(value)
}

/** All sections about one run. */
export function runSections(run: ReportRun): Html {
  const figures = new Map(runFigures(run).map((figure) => [figure.id, figureShell(figure)]))
  const placed = (...ids: string[]) => ids.flatMap((id) => figures.get(id) ?? [])
  const inputs = placed('ranges', 'outliers')
  return html`<section aria-label="Verdict">
<div class="card verdict ${run.verdict.grade}"><p><strong>${GRADES[run.verdict.grade]}</strong> ${run.verdict.text}</p></div>
<ul class="figures" style="--columns:${run.figures.length % 4 === 0 ? 4 : 3}">${run.figures.map(({ name, value, note }) => html`<li><span class="name">${name}</span><span class="value">${value}</span><span class="sub">${note}</span></li>`)}</ul>
${run.scores ? html`<div class="card"><p>${run.scores.verdict}</p></div>` : null}</section>
<section><h2>Where the bytes went</h2>${orNone(placed('size'), 'This record has no sizes by kind: it is of an earlier version.')}</section>
<section><h2>What was lost, and where</h2>
${placed('errors')}
${linearPanel(run)}
${placed('gain')}</section>
<section><h2>What goes in</h2>
${inputs.length > 0 ? html`<div class="pair">${inputs}</div>` : html`<p class="card">${noInputs(run)}</p>`}</section>
<section><h2>Damping, fallbacks, warnings</h2>${placed('damping')}${trouble(run)}</section>
${run.suggestions.length > 0 ? html`<section><h2>What to try next</h2>${run.suggestions.map(suggestion)}</section>` : null}
${run.samples.length > 0 ? html`<section><h2>What it writes</h2>${run.samples.map(sample)}</section>` : null}
${provenance(run)}`
}

const GRADES = { good: 'Good.', check: 'Worth a look.', poor: 'Poor.' } as const

function orNone(figures: readonly Html[], otherwise: string): Html {
  return figures.length > 0 ? html`${figures}` : html`<p class="card">${otherwise}</p>`
}

function noInputs({ stages, record }: ReportRun): string {
  if (!stages) return 'Nothing was measured of the inputs: the statistics of this run are gone (they stand in its report.html).'
  return record.data
    ? 'Nothing was measured of the inputs.'
    : 'The recipe needs no data, so nothing went through the model: what goes into the linears was not seen.'
}

function linearPanel({ linears, stages, withoutHistogram }: ReportRun): Html {
  if (linears.length === 0) return html``
  const none = stages
    ? 'The histograms of this linear were left out, since there are so many linears.'
    : 'No statistics of this run are there (they stand in its report.html), so there is nothing to draw.'
  const left =
    withoutHistogram > 0
      ? html`<p class="note">Histograms are there for the linears that lose most; ${formatCount(withoutHistogram)} others have none.</p>`
      : null
  return html`<div class="card linear" aria-live="polite">
<h3>One linear</h3>
<p class="note">Click a cell above, or choose.</p>
<div class="pick">
<button type="button" data-step="-1" aria-label="Previous linear">←</button>
<select aria-label="Linear">${linears.map(({ name, error }) => html`<option value="${name}">${name} · ${formatPercent(error)}</option>`)}</select>
<button type="button" data-step="1" aria-label="Next linear">→</button>
<label class="box"><input type="checkbox"> logarithmic counts</label>
</div>
<dl></dl>
<div class="pair">
${['weights', 'channels'].map((id) => html`<figure data-figure="${id}" hidden><figcaption><h3>${PANEL[id]}</h3><p class="note"></p></figcaption><div class="chart" role="img"></div></figure>`)}
</div>
<p class="note none" hidden>${none}</p>
${left}
</div>`
}

const PANEL: Readonly<Record<string, string>> = {
  weights: 'Weights, original against dequantized',
  channels: 'Inputs: the largest channels',
}

function trouble({ linears, record }: ReportRun): Html {
  const fallen = linears.filter(({ fallback }) => fallback)
  const dampings = [...new Set(linears.flatMap(({ damping }) => damping ?? []))].sort((a, b) => a - b)
  const raised = linears.filter(({ dampingAsked }) => dampingAsked !== undefined).length
  const damping =
    dampings.length === 0
      ? 'No method here damps.'
      : raised === 0
        ? `Damping ${dampings.join(', ')}, as asked for, everywhere.`
        : `${formatCount(raised)} of ${formatCount(linears.length)} linears took more damping than asked for, up to ${dampings[dampings.length - 1]}.`
  const lines = [
    html`<li>${damping}</li>`,
    html`<li>${fallen.length === 0 ? 'No linear fell back to another method.' : null}${fallen.length > 0 ? `${formatCount(fallen.length)} fell back: ` : null}${fallen.slice(0, 20).map(({ name, fallback }) => html`<br><code>${name}</code> ${fallback ?? null}`)}</li>`,
    ...record.warnings.map((text) => html`<li><strong class="check">Warning:</strong> ${text}</li>`),
    ...record.remarks.map((text) => html`<li>${text}</li>`),
  ]
  return html`<div class="card"><ul class="list">${lines}</ul></div>`
}

function suggestion({ title, why, diff, flags }: Suggestion): Html {
  const shown = diff.map(({ sign, text }) => html`<span class="line${CHANGE[sign]}">${sign} ${text}</span>`)
  return html`<div class="card"><h3>${title}</h3><p class="note">${why}</p>
${flags ? html`<pre>${flags}</pre>` : null}${diff.length > 0 ? html`<pre aria-label="Change of the recipe">${shown}</pre>` : null}</div>`
}

const CHANGE = { '+': ' added', '-': ' removed', ' ': '' } as const

function sample({ prompt, texts }: Sample): Html {
  return html`<div class="card"><p class="note">Prompt: ${prompt}</p><div class="samples">
${texts.map(({ name, text }) => html`<div><h3>${name}</h3><blockquote>${text}</blockquote></div>`)}
</div></div>`
}

function provenance({ record }: ReportRun): Html {
  const { model, output, engine, seed, data, hashes, files, recipe, llmpress } = record
  const facts: [string, string][] = [
    ['Model', model],
    ['Checkpoint', output],
    ['Data', data ? `${data.source}, ${formatCount(data.rows)} rows, ${formatCount(data.tokens)} tokens, seed ${seed}` : 'none needed'],
    ['Engine', `${engine.name}, ${engine.detail}, ${engine.threads} threads`],
    ['llmpress', llmpress],
    ['Hash of the model', hashes.model],
    ['Hash of the recipe', hashes.recipe],
    ['Hash of the rows', hashes.data],
  ]
  return html`<section><h2>Recipe and hashes</h2>
<div class="card"><h3>${recipe.name}</h3><pre>${recipe.text.trimEnd()}</pre></div>
<div class="card"><dl class="facts">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd${name.startsWith('Hash') ? html` class="hash"` : null}>${value}</dd></div>`)}</dl>
<details><summary>Files and their SHA-256</summary><div class="scroll" tabindex="0"><table>
<thead><tr><th scope="col">File</th><th scope="col">Size</th><th scope="col">SHA-256</th></tr></thead>
<tbody>${files.map(({ name, bytes, sha256 }) => html`<tr><td>${name}</td><td class="number">${formatBytes(bytes)}</td><td class="hash">${sha256}</td></tr>`)}</tbody>
</table></div></details></div></section>`
}

import { type Assets, readAssets } from './assets.ts'
import { comparisonTable } from './comparison-table.ts'
import { type Html, html, jsonForScript, raw } from './html.ts'
import { comparisonFigures } from './page/comparison-figures.js'
import type { ReportRun } from './report-run.ts'
import { figureShell, runSections } from './run-sections.ts'

/** A report that stands beside each checkpoint. */
export const PAGE_FILE = 'report.html'

/** The page's data for scripts: what `readPageData` looks for. */
export const DATA_ID = 'llmpress-runs'

/** Nothing may be loaded, from anywhere. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

/** Before the first paint: what was chosen last, else what the system has. */
const THEME = `{let t;try{t=localStorage.getItem('llmpress-theme')}catch{}document.documentElement.dataset.theme=t==='dark'||t==='light'?t:matchMedia('(prefers-color-scheme: dark)').matches?'dark':'light'}`

/** One self-contained page about one run, or about several side by side. Makes no request when it is opened. */
export async function reportPage(runs: readonly ReportRun[]): Promise<string> {
  return pageOf(runs, await readAssets()).markup
}

function pageOf(runs: readonly ReportRun[], { style, script, echarts }: Assets): Html {
  const title = runs.length === 1 ? runs[0].name : `${runs.length} runs compared`
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="llmpress ${runs[0].record.llmpress}">
<link rel="icon" href="data:,">
<title>${title} · llmpress report</title>
<script>${raw(THEME)}</script>
<style>
${raw(style)}</style>
</head>
<body>
<header>
<div>
<p class="kicker">llmpress report</p>
<h1>${title}</h1>
<p class="sub">${runs.length === 1 ? subtitle(runs[0]) : runs.map(({ name }) => name).join(' · ')}</p>
</div>
<button type="button" class="theme" aria-pressed="false">Dark</button>
</header>
<main>
<noscript><p class="card">Figures are drawn by a script, which is switched off here. The numbers behind them are in the tables.</p></noscript>
<p class="card undrawn" hidden>Figures cannot be drawn in this browser. The numbers behind them are in the tables.</p>
${runs.length > 1 ? comparison(runs) : null}
${runs.map((run, i) => html`<article data-run="${i}"${i > 0 ? raw(' hidden') : null}>${runSections(run)}</article>`)}
</main>
<footer>Made by llmpress ${runs[0].record.llmpress}. This file has all it shows within itself and asks no server.</footer>
<script type="application/json" id="${DATA_ID}">${jsonForScript(runs)}</script>
<script type="text/plain" id="echarts">${raw(echarts)}</script>
<script type="module">
${raw(script)}
</script>
</body>
</html>
`
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

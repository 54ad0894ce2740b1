import type { Assets } from './assets.ts'
import { type Html, html, jsonForScript, raw } from './html.ts'

/** Nothing may be loaded, from anywhere. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

/** Before the first paint: what was chosen last, else what the system has. */
const THEME = `{let t;try{t=localStorage.getItem('llmpress-theme')}catch{}document.documentElement.dataset.theme=t==='dark'||t==='light'?t:matchMedia('(prefers-color-scheme: dark)').matches?'dark':'light'}`

/** What stands on a page of ours. */
export interface PageContent {
  readonly title: string
  /** What kind of page it is: `llmpress report`. */
  readonly kicker: string
  readonly sub: string
  /** The version that made what it shows. */
  readonly llmpress: string
  readonly main: readonly (Html | null)[]
  /** What its scripts read, and the id of the element that holds it. */
  readonly data: { readonly id: string; readonly value: unknown }
}

/** A self-contained page, for light and dark: makes no request when it is opened. */
export function shell({ title, kicker, sub, llmpress, main, data }: PageContent, { style, script, echarts }: Assets): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="llmpress ${llmpress}">
<link rel="icon" href="data:,">
<title>${title} · ${kicker}</title>
<script>${raw(THEME)}</script>
<style>
${raw(style)}</style>
</head>
<body>
<header>
<div>
<p class="kicker">${kicker}</p>
<h1>${title}</h1>
<p class="sub">${sub}</p>
</div>
<button type="button" class="theme" aria-pressed="false">Dark</button>
</header>
<main>
<noscript><p class="card">Figures are drawn by a script, which is switched off here. The numbers behind them are in the tables.</p></noscript>
<p class="card undrawn" hidden>Figures cannot be drawn in this browser. The numbers behind them are in the tables.</p>
${main}
</main>
<footer>Made by llmpress ${llmpress}. This file has all it shows within itself and asks no server.</footer>
<script type="application/json" id="${data.id}">${jsonForScript(data.value)}</script>
<script type="text/plain" id="echarts">${raw(echarts)}</script>
<script type="module">
${raw(script)}
</script>
</body>
</html>
`
}

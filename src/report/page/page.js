import { formatCount, formatNumber, formatPercent, formatSeconds } from '../../util/format.js'
import { comparisonFigures } from './comparison-figures.js'
import { draw, find, startPage } from './drawing.js'
import { linearFigures } from './linear-figures.js'
import { errorCells, errorName, runFigures } from './run-figures.js'

/** @import { ReportLinear, ReportRun } from '../report-run.ts' */

/** @type {readonly ReportRun[]} */
const runs = JSON.parse(/** @type {HTMLElement} */ (document.getElementById('llmpress-runs')).textContent ?? '[]')

/**
 * @param {HTMLElement} article
 * @param {ReportRun} run
 */
function openRun(article, run) {
  for (const figure of runFigures(run)) {
    const place = find(article, `[data-figure="${figure.id}"] .chart`)
    const chart = place && draw(place, figure)
    if (!chart) continue
    chart.on('click', (/** @type {any} */ { data }) => {
      const name = data?.point ? linearOf(run, data.point.stage) : data?.name
      if (run.linears.some((linear) => linear.name === name)) select(article, run, name, true)
    })
  }
  const panel = find(article, '.linear')
  if (!panel || panel.dataset.ready) return
  panel.dataset.ready = 'yes'
  const choice = /** @type {HTMLSelectElement} */ (find(panel, 'select'))
  choice.addEventListener('change', () => select(article, run, choice.value))
  for (const button of panel.querySelectorAll('button[data-step]')) {
    button.addEventListener('click', () => {
      const at = choice.selectedIndex + Number(/** @type {HTMLElement} */ (button).dataset.step)
      if (at >= 0 && at < choice.options.length) select(article, run, choice.options[at].value)
    })
  }
  const logarithmic = find(panel, 'input[type="checkbox"]')
  logarithmic?.addEventListener('change', () => select(article, run, choice.value))
  for (const button of article.querySelectorAll('button[data-linear]')) {
    button.addEventListener('click', () => select(article, run, /** @type {HTMLElement} */ (button).dataset.linear ?? '', true))
  }
  const asked = decodeURIComponent(location.hash.slice(1))
  const cells = errorCells(run).cells
  const first = run.linears.find(({ name }) => name === asked) ?? cells.map(({ linear }) => linear).sort((a, b) => b.error - a.error)[0]
  if (first) select(article, run, first.name)
}

/**
 * A linear of a stage.
 * @param {ReportRun} run
 * @param {string} stage
 * @returns {string | undefined}
 */
function linearOf({ stages }, stage) {
  return stages?.find((own) => own.stage === stage)?.linears[0]?.name
}

/**
 * Shows a linear in its panel.
 * @param {HTMLElement} article
 * @param {ReportRun} run
 * @param {string} name
 * @param {boolean} [reveal]
 */
function select(article, run, name, reveal = false) {
  const panel = find(article, '.linear')
  const linear = run.linears.find((own) => own.name === name)
  if (!panel || !linear) return
  const choice = /** @type {HTMLSelectElement} */ (find(panel, 'select'))
  choice.value = name
  const step = (/** @type {number} */ by) => /** @type {HTMLButtonElement} */ (find(panel, `button[data-step="${by}"]`))
  step(-1).disabled = choice.selectedIndex <= 0
  step(1).disabled = choice.selectedIndex >= choice.options.length - 1
  const list = /** @type {HTMLElement} */ (find(panel, 'dl'))
  list.replaceChildren(
    ...facts(run, linear).map(([term, text]) => {
      const pair = document.createElement('div')
      pair.append(element('dt', term), element('dd', text))
      return pair
    }),
  )
  const box = /** @type {HTMLInputElement | null} */ (find(panel, 'input[type="checkbox"]'))
  const figures = linearFigures(run, name, { logarithmic: box?.checked ?? false })
  const shells = ['weights', 'channels'].map((id) => ({
    shell: find(panel, `[data-figure="${id}"]`),
    figure: figures.find((own) => own.id === id),
  }))
  // All before the first is drawn: they share the width.
  for (const { shell, figure } of shells) if (shell) shell.hidden = !figure
  for (const { shell, figure } of shells) {
    if (!shell || !figure) continue
    const [note, place] = [find(shell, '.note'), find(shell, '.chart')]
    if (note) note.textContent = figure.note
    place?.setAttribute('aria-label', `${figure.title} of ${name}`)
    if (place) draw(place, figure)
  }
  const none = find(panel, '.none')
  if (none) none.hidden = figures.length > 0
  if (reveal) {
    history.replaceState(null, '', `#${encodeURIComponent(name)}`)
    panel.scrollIntoView({ block: 'nearest', behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' })
  }
}

/**
 * What is known of a linear.
 * @param {ReportRun} run
 * @param {ReportLinear} linear
 * @returns {[string, string][]}
 */
function facts(run, linear) {
  const stage = run.stages?.find(({ linears }) => linears.some(({ name }) => name === linear.name))
  const weights = stage?.linears.find(({ name }) => name === linear.name)
  const inputs = stage?.inputs
  /** @type {[string, string | null | undefined][]} */
  const all = [
    [errorName(run), formatPercent(linear.error)],
    ['On rows held back', linear.heldBackError === undefined ? null : formatPercent(linear.heldBackError)],
    ['Plain rounding', linear.rtnError === undefined ? null : formatPercent(linear.rtnError)],
    ['Method', [...(linear.rescaled ?? []).map(({ by }) => by), linear.method].join(' + ')],
    ['Scheme', linear.scheme],
    ['Weights', weights ? `${formatCount(weights.total)}, ${formatNumber(weights.min)} to ${formatNumber(weights.max)}` : null],
    ['Inputs', inputs ? `${formatNumber(inputs.min)} to ${formatNumber(inputs.max)}` : null],
    ['Damping', linear.damping === undefined ? null : String(linear.damping)],
    ['Dead inputs', linear.deadColumns ? formatCount(linear.deadColumns) : null],
    ['Clipped scales', linear.clippedScales ? formatCount(linear.clippedScales) : null],
    ['Fallback', linear.fallback],
    ['Time', formatSeconds(linear.seconds)],
  ]
  return all.flatMap(([term, text]) => (text ? [/** @type {[string, string]} */ ([term, text])] : []))
}

/**
 * @param {string} tag
 * @param {string} text
 * @returns {HTMLElement}
 */
function element(tag, text) {
  const made = document.createElement(tag)
  made.textContent = text
  return made
}

function openPage() {
  for (const figure of comparisonFigures(runs)) {
    const place = find(document, `[data-figure="${figure.id}"] .chart`)
    if (place) draw(place, figure)
  }
  const articles = /** @type {HTMLElement[]} */ ([...document.querySelectorAll('article[data-run]')])
  const tabs = /** @type {HTMLElement[]} */ ([...document.querySelectorAll('[role="tab"]')])
  const show = (/** @type {number} */ wanted) => {
    for (const [i, article] of articles.entries()) article.hidden = i !== wanted
    for (const [i, tab] of tabs.entries()) {
      tab.setAttribute('aria-selected', String(i === wanted))
      tab.tabIndex = i === wanted ? 0 : -1
    }
    openRun(articles[wanted], runs[wanted])
  }
  for (const [i, tab] of tabs.entries()) {
    tab.addEventListener('click', () => show(i))
    tab.addEventListener('keydown', ({ key }) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1 }[key]
      if (to === undefined || !tabs[to]) return
      show(to)
      tabs[to].focus()
    })
  }
  show(0)
}

await startPage(openPage)

import { formatCount, formatNumber, formatPercent, formatSeconds } from '../../util/format.js'
import { comparisonFigures } from './comparison-figures.js'
import { linearFigures } from './linear-figures.js'
import { errorCells, errorName, runFigures } from './run-figures.js'
import { THEMES } from './theme.js'

/** @import { EChartsType } from 'echarts' */
/** @import { ReportLinear, ReportRun } from '../report-run.ts' */
/** @import { Figure } from './chart.js' */

/** @type {readonly ReportRun[]} */
const runs = JSON.parse(/** @type {HTMLElement} */ (document.getElementById('llmpress-runs')).textContent ?? '[]')

/** Charts that are drawn, by the element they are in. @type {Map<HTMLElement, { chart: EChartsType, figure: Figure }>} */
const drawn = new Map()

/** @type {typeof import('echarts') | null} */
let echarts = null

const theme = () => THEMES[document.documentElement.dataset.theme === 'dark' ? 'dark' : 'light']

/**
 * The first element within `root` that matches.
 * @param {ParentNode} root
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
const find = (root, selector) => root.querySelector(selector)

/**
 * Draws a figure into its place, or again.
 * @param {HTMLElement} place
 * @param {Figure} figure
 * @returns {EChartsType | null}
 */
function draw(place, figure) {
  if (!echarts || place.clientWidth === 0) return null
  place.style.height = `${figure.height}px`
  const known = drawn.get(place)
  const chart = known?.chart ?? echarts.init(place, null, { renderer: 'svg' })
  if (known) chart.resize()
  chart.setOption(figure.draw(theme(), place.clientWidth), { notMerge: true })
  drawn.set(place, { chart, figure })
  return known ? null : chart
}

/** Draws again what is drawn: the width or the theme is another. */
function drawAgain() {
  for (const [place, { figure }] of drawn) draw(place, figure)
}

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

function followTheme() {
  const button = find(document, 'button.theme')
  const tell = () => button?.setAttribute('aria-pressed', String(document.documentElement.dataset.theme === 'dark'))
  button?.addEventListener('click', () => {
    const wanted = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'
    document.documentElement.dataset.theme = wanted
    try {
      localStorage.setItem('llmpress-theme', wanted)
    } catch {
      // A page from a file may have no storage: then it holds until the page is closed.
    }
    tell()
    drawAgain()
  })
  tell()
}

/** Unpacks the library that draws, which is most of the page, and runs it. */
async function unpack() {
  const packed = atob(/** @type {HTMLElement} */ (document.getElementById('echarts')).textContent?.trim() ?? '')
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0))
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))
  const script = document.createElement('script')
  script.textContent = await new Response(stream).text()
  document.head.append(script)
  return /** @type {typeof import('echarts')} */ (/** @type {any} */ (globalThis).echarts)
}

followTheme()
try {
  echarts = await unpack()
  openPage()
  document.documentElement.dataset.ready = 'yes'
  let width = innerWidth
  addEventListener('resize', () => {
    if (innerWidth !== width) drawAgain()
    width = innerWidth
  })
} catch (error) {
  const message = find(document, '.undrawn')
  if (message) message.hidden = false
  console.error(error)
}

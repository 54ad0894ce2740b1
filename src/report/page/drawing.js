import { THEMES } from './theme.js'

/** @import { EChartsType } from 'echarts' */
/** @import { Figure } from './chart.js' */

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
export const find = (root, selector) => root.querySelector(selector)

/**
 * Draws a figure into its place, or again.
 * @param {HTMLElement} place
 * @param {Figure} figure
 * @returns {EChartsType | null}
 */
export function draw(place, figure) {
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

/** The button that makes the page dark, or light. */
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

/**
 * Begins: what `open` draws is drawn again when the width or the theme is another.
 * @param {() => void} open
 */
export async function startPage(open) {
  followTheme()
  try {
    echarts = await unpack()
    open()
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
}

import { formatBytes } from '../../util/format.js'
import { FONT } from './theme.js'

/** @import { EChartsOption } from 'echarts' */
/** @import { Theme } from './theme.js' */

/**
 * A figure: how it is drawn at a width in pixels, and the numbers behind it.
 * @typedef {{
 *   id: string, title: string, note: string, height: number,
 *   draw: (theme: Theme, width: number) => EChartsOption,
 *   table: { columns: readonly string[], rows: readonly (readonly (string | number | null)[])[] },
 * }} Figure
 */

/** Below this width, in pixels, a figure is on a phone. */
export const NARROW = 560

/**
 * What all figures have in common.
 * @param {Theme} theme
 * @param {{ left?: number, right?: number, top?: number, bottom?: number }} [room]
 * @returns {EChartsOption}
 */
export function base(theme, { left = 8, right = 12, top = 40, bottom = 8 } = {}) {
  return {
    animation: false,
    color: [...theme.series],
    textStyle: { fontFamily: FONT, color: theme.ink },
    grid: { left, right, top, bottom, outerBoundsMode: 'same', outerBoundsContain: 'all' },
    legend: { top: 0, left: 0, itemWidth: 12, itemHeight: 12, icon: 'roundRect', textStyle: { color: theme.soft }, type: 'plain' },
    tooltip: {
      confine: true,
      backgroundColor: theme.card,
      borderColor: theme.line,
      textStyle: { color: theme.ink, fontSize: 13 },
      extraCssText: 'box-shadow:0 4px 16px rgba(0,0,0,.18);white-space:normal;max-width:20rem',
    },
  }
}

/**
 * An axis, quiet.
 * @param {Theme} theme
 * @param {string} name
 * @returns {{ name: string, [key: string]: any }}
 */
export function axis(theme, name) {
  return {
    name,
    nameLocation: 'middle',
    nameGap: 28,
    nameTextStyle: { color: theme.soft },
    axisLabel: { color: theme.soft, hideOverlap: true },
    axisLine: { lineStyle: { color: theme.line } },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: theme.line, type: 'dashed' } },
    minorSplitLine: { show: false },
  }
}

/**
 * A horizontal axis of bytes.
 * @param {Theme} theme
 */
export function bytesAxis(theme) {
  const plain = axis(theme, '')
  const formatter = (/** @type {number} */ value) => formatBytes(value)
  return { ...plain, type: /** @type {const} */ ('value'), axisLabel: { ...plain.axisLabel, formatter } }
}

/**
 * Text within a tooltip, which is HTML.
 * @param {string} text
 * @returns {string}
 */
function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/**
 * Lines of a tooltip: a bold first one, then names and values.
 * @param {string} title
 * @param {readonly (readonly [string, string])[]} entries
 * @returns {string}
 */
export function tip(title, entries) {
  const lines = entries.map(([name, value]) => `${escaped(name)} <b>${escaped(value)}</b>`)
  return [`<b>${escaped(title)}</b>`, ...lines].join('<br>')
}

/**
 * Arithmetic mean; 0 of nothing.
 * @param {readonly number[]} values
 * @returns {number}
 */
export function mean(values) {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}

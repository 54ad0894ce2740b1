import { formatCount, formatEngineering, formatNumber } from '../../util/format.js'
import { axis, base } from './chart.js'

/** @import { Figure } from './chart.js' */

/**
 * Counts by bin of some weights.
 * @typedef {{ name: string, counts: readonly number[] }} Counted
 */

/** The colours that tutorials use: the original blue, absmax red, zero-point green. */
export const COLOURS = ['#2f6fd6', '#d63b2f', '#2e9e4f', '#8a5cc9', '#cf8a1c', '#1f8a9e']
const PANEL = 300

/**
 * Weights of several variants over the original's, all in one panel, or each in one of its own, stacked over a common axis.
 * @param {string} title
 * @param {readonly number[]} edges [bins + 1]
 * @param {readonly Counted[]} counted the original first
 * @param {number} total
 * @param {boolean} together
 * @returns {Figure}
 */
export function weightsFigure(title, edges, counted, total, together) {
  const [original, ...variants] = counted
  const panels = together || variants.length === 0 ? [counted] : variants.map((variant) => [original, variant])
  const [low, high] = [edges[0], edges[edges.length - 1]]
  return {
    id: 'histogram',
    title,
    note: `${original.counts.length} bins from ${low} to ${high}; ${formatCount(total)} weights.`,
    height: PANEL * panels.length + 40,
    draw: (theme) => {
      const { textStyle, tooltip } = base(theme)
      return {
        animation: false,
        textStyle,
        tooltip: { ...tooltip, trigger: 'axis', valueFormatter: (/** @type {unknown} */ value) => formatCount(Number(value)) },
        legend: { bottom: 0, icon: 'roundRect', itemWidth: 12, itemHeight: 12, textStyle: { color: theme.soft } },
        title: panels.map((shown, i) => ({
          text: shown.map(({ name }) => name).join(' against '),
          left: 'center',
          top: i * PANEL + 6,
          textStyle: { color: theme.ink, fontSize: 16 },
        })),
        grid: panels.map((_, i) => ({ left: 76, right: 24, top: i * PANEL + 40, height: PANEL - 84 })),
        xAxis: panels.map((_, i) => ({
          ...axis(theme, i === panels.length - 1 ? 'Weight values' : ''),
          nameGap: 26,
          gridIndex: i,
          type: /** @type {const} */ ('value'),
          min: low,
          max: high,
          axisLabel: { color: theme.soft, formatter: (/** @type {number} */ value) => formatNumber(value) },
        })),
        yAxis: panels.map((_, i) => ({
          ...axis(theme, 'Count'),
          nameGap: 52,
          gridIndex: i,
          type: /** @type {const} */ ('value'),
          axisLabel: { color: theme.soft, formatter: (/** @type {number} */ value) => formatEngineering(value) },
        })),
        series: panels.flatMap((shown, i) =>
          shown.map(({ name, counts }) => {
            const color = COLOURS[counted.findIndex((own) => own.name === name) % COLOURS.length]
            return {
              name,
              type: /** @type {const} */ ('line'),
              step: /** @type {const} */ ('end'),
              xAxisIndex: i,
              yAxisIndex: i,
              symbol: 'none',
              lineStyle: { width: 1, color },
              itemStyle: { color },
              areaStyle: { color, opacity: 0.5 },
              data: [...counts, counts[counts.length - 1]].map((count, bin) => [edges[bin], count]),
            }
          }),
        ),
      }
    },
    table: {
      columns: ['From', 'To', ...counted.map(({ name }) => name)],
      rows: original.counts.map((_, bin) => [edges[bin], edges[bin + 1], ...counted.map(({ counts }) => counts[bin])]),
    },
  }
}

import { formatCount, formatNumber } from '../../util/format.js'
import { axis, base, tip } from './chart.js'

/** @import { ReportRun } from '../report-run.ts' */
/** @import { InputStatistics, WeightStatistics } from '../statistics.ts' */
/** @import { Figure } from './chart.js' */

/**
 * The figures of one linear: its weights before and after, and the largest channels of its inputs.
 * @param {ReportRun} run
 * @param {string} name
 * @param {{ logarithmic?: boolean }} [options]
 * @returns {Figure[]}
 */
export function linearFigures({ stages }, name, { logarithmic = false } = {}) {
  const stage = (stages ?? []).find(({ linears }) => linears.some((linear) => linear.name === name))
  const weights = stage?.linears.find((linear) => linear.name === name)
  return [
    ...(weights && weights.before.length > 0 ? [histogramFigure(weights, logarithmic)] : []),
    ...(stage?.inputs ? [channels(stage.stage, stage.inputs)] : []),
  ]
}

/**
 * @param {WeightStatistics} weights
 * @param {boolean} logarithmic
 * @returns {Figure}
 */
function histogramFigure({ name, low, high, before, after, counted, total }, logarithmic) {
  const bins = before.length
  const edge = (/** @type {number} */ i) => low + ((high - low) * i) / bins
  const part = counted < total ? `, ${formatCount(counted)} of ${formatCount(total)}, in rows spread over the matrix` : ''
  const step = (/** @type {string} */ title, /** @type {readonly number[]} */ counts, /** @type {string} */ color, opacity = 0.35) => ({
    name: title,
    type: /** @type {const} */ ('line'),
    step: /** @type {const} */ ('end'),
    symbol: 'none',
    lineStyle: { width: 1.5, color },
    itemStyle: { color },
    areaStyle: { color, opacity, origin: /** @type {const} */ ('start') },
    // A bin with nothing in it has no place on a logarithmic axis.
    data: [...counts, counts[bins - 1]].map((count, i) => [edge(i), logarithmic && count === 0 ? 0.5 : count]),
  })
  return {
    id: 'weights',
    title: 'Weights, original against dequantized',
    note: `${bins} bins${part}.`,
    height: 280,
    draw: (theme) => ({
      ...base(theme, { bottom: 4 }),
      legend: { ...base(theme).legend, data: ['original', 'dequantized'] },
      tooltip: {
        ...base(theme).tooltip,
        trigger: 'axis',
        formatter: (/** @type {any} */ [first]) => {
          const bin = Math.min(bins - 1, first.dataIndex)
          return tip(`${formatNumber(edge(bin))} to ${formatNumber(edge(bin + 1))}`, [
            ['original', formatCount(before[bin])],
            ['dequantized', formatCount(after[bin])],
          ])
        },
      },
      xAxis: {
        ...axis(theme, 'Weight'),
        nameGap: 24,
        type: 'value',
        min: low,
        max: high,
        splitLine: { show: false },
        axisLabel: {
          color: theme.soft,
          hideOverlap: true,
          showMinLabel: false,
          showMaxLabel: false,
          formatter: (/** @type {number} */ value) => formatNumber(value),
        },
      },
      yAxis: {
        ...axis(theme, ''),
        type: logarithmic ? 'log' : 'value',
        ...(logarithmic && { min: 0.5 }),
        axisLabel: { color: theme.soft, formatter: (/** @type {number} */ value) => (value < 1 ? '' : formatCount(Math.round(value))) },
      },
      series: [step('dequantized', after, theme.after, 0.45), step('original', before, theme.before)],
    }),
    table: {
      columns: ['From', 'To', 'Original', 'Dequantized', 'Linear'],
      rows: before.map((count, i) => [edge(i), edge(i + 1), count, after[i], name]),
    },
  }
}

/**
 * @param {string} stage
 * @param {InputStatistics} inputs
 * @returns {Figure}
 */
function channels(stage, { largest, medianRms, min, max, tokens, channels: count }) {
  return {
    id: 'channels',
    title: 'Inputs: the largest channels',
    note: `Root mean square over ${formatCount(tokens)} tokens; values from ${formatNumber(min)} to ${formatNumber(max)}. The line is the middle one of ${formatCount(count)} channels, ${formatNumber(medianRms)}.`,
    height: 280,
    draw: (theme) => ({
      ...base(theme, { top: 16, bottom: 4 }),
      legend: { show: false },
      tooltip: {
        ...base(theme).tooltip,
        formatter: (/** @type {any} */ { name, value }) => tip(`Channel ${name}`, [['RMS', formatNumber(value)]]),
      },
      xAxis: {
        ...axis(theme, 'Channel'),
        nameGap: 24,
        type: 'category',
        data: largest.map(({ channel }) => String(channel)),
        splitLine: { show: false },
      },
      yAxis: {
        ...axis(theme, ''),
        type: 'value',
        axisLabel: { color: theme.soft, formatter: (/** @type {number} */ value) => formatNumber(value) },
      },
      series: [
        {
          name: 'RMS',
          type: 'bar',
          barWidth: '60%',
          itemStyle: { color: theme.series[2], borderRadius: [3, 3, 0, 0] },
          data: largest.map(({ rms }) => rms),
          markLine: {
            symbol: 'none',
            silent: true,
            lineStyle: { color: theme.ink, type: 'dashed' },
            label: { show: false },
            data: [{ yAxis: medianRms }],
          },
        },
      ],
    }),
    table: { columns: ['Stage', 'Channel', 'RMS'], rows: largest.map(({ channel, rms }) => [stage, channel, rms]) },
  }
}

import { formatBytes, formatPercent } from '../../util/format.js'
import { axis, base, bytesAxis, mean, NARROW, tip } from './chart.js'

/** @import { ReportLinear, ReportRun } from '../report-run.ts' */
/** @import { Figure } from './chart.js' */

/**
 * The figures that compare runs.
 * @param {readonly ReportRun[]} runs
 * @returns {Figure[]}
 */
export function comparisonFigures(runs) {
  return runs.length < 2 ? [] : [sizes(runs), byLayer(runs), byKind(runs)].flatMap((figure) => figure ?? [])
}

/**
 * @param {readonly ReportRun[]} runs
 * @returns {Figure}
 */
function sizes(runs) {
  const kinds = [...new Set(runs.flatMap((run) => run.kinds.map(({ kind }) => kind)))]
  const whole = runs.some((run) => run.kinds.length === 0)
  const rows = [
    { name: 'Original', of: (/** @type {string | null} */ kind) => bytes(runs[0], kind, 'before') },
    ...runs.map((run) => ({ name: run.name, of: (/** @type {string | null} */ kind) => bytes(run, kind, 'after') })),
  ]
  const series = whole ? [null] : kinds
  return {
    id: 'compare-size',
    title: 'Size',
    note: whole ? 'Bytes of all tensors in the files.' : 'Bytes of all tensors in the files, by kind.',
    height: 96 + 44 * rows.length,
    draw: (theme, width) => ({
      ...base(theme, { top: whole ? 8 : 40, right: 72 }),
      ...(whole && { legend: { show: false } }),
      tooltip: {
        ...base(theme).tooltip,
        formatter: (/** @type {any} */ { seriesName, value, name }) => tip(name, [[seriesName, formatBytes(value)]]),
      },
      xAxis: bytesAxis(theme),
      yAxis: {
        ...axis(theme, ''),
        type: 'category',
        inverse: true,
        data: rows.map(({ name }) => name),
        axisLabel: { color: theme.ink, width: width < NARROW ? 96 : 220, overflow: 'truncate' },
      },
      series: series.map((kind, i) => ({
        name: kind ?? 'All tensors',
        type: 'bar',
        stack: 'size',
        barWidth: 26,
        itemStyle: { borderColor: theme.card, borderWidth: 1 },
        data: rows.map(({ of }) => of(kind)),
        ...(i === series.length - 1 && {
          label: {
            show: true,
            position: 'right',
            color: theme.ink,
            formatter: (/** @type {any} */ { dataIndex }) => formatBytes(rows[dataIndex].of(null)),
          },
        }),
      })),
    }),
    table: {
      columns: ['Run', ...(whole ? [] : kinds), 'All tensors'],
      rows: rows.map(({ name, of }) => [name, ...(whole ? [] : kinds.map(of)), of(null)]),
    },
  }
}

/**
 * @param {ReportRun} run
 * @param {string | null} kind
 * @param {'before' | 'after'} side
 * @returns {number}
 */
function bytes({ kinds, record }, kind, side) {
  return kind === null ? record.size[side] : (kinds.find((own) => own.kind === kind)?.[side] ?? 0)
}

/**
 * @param {readonly ReportRun[]} runs
 * @returns {Figure | null}
 */
function byLayer(runs) {
  const layerOf = (/** @type {ReportLinear} */ { layer }) => (layer === null ? 'head' : String(layer))
  const layers = [...new Set(runs.flatMap(({ linears }) => linears.map(layerOf)))]
  if (layers.length === 0) return null
  const values = runs.map(({ linears }) =>
    layers.map((layer) => {
      const own = linears.filter((linear) => layerOf(linear) === layer)
      return own.length > 0 ? mean(own.map(({ error }) => error)) : null
    }),
  )
  return {
    id: 'compare-errors',
    title: 'Mean error by layer',
    note: kindsOfError(runs),
    height: 320,
    draw: (theme) => ({
      ...base(theme, { bottom: 4 }),
      tooltip: { ...base(theme).tooltip, trigger: 'axis', valueFormatter: (/** @type {any} */ value) => percentOrNone(value) },
      xAxis: { ...axis(theme, 'Layer'), nameGap: 24, type: 'category', data: layers, splitLine: { show: false } },
      yAxis: {
        ...axis(theme, ''),
        type: 'log',
        axisLabel: { color: theme.soft, formatter: (/** @type {number} */ tick) => formatPercent(tick) },
      },
      series: runs.map(({ name }, i) => ({
        name,
        type: 'line',
        symbolSize: 6,
        lineStyle: { width: 2 },
        data: values[i].map((value) => (value !== null && value > 0 ? value : null)),
      })),
    }),
    table: { columns: ['Layer', ...runs.map(({ name }) => name)], rows: layers.map((layer, i) => [layer, ...values.map((own) => own[i])]) },
  }
}

/**
 * @param {readonly ReportRun[]} runs
 * @returns {Figure | null}
 */
function byKind(runs) {
  const kinds = [...new Set(runs.flatMap(({ linears }) => linears.map(({ kind }) => kind)))]
  if (kinds.length === 0) return null
  const values = runs.map(({ linears }) =>
    kinds.map((kind) => {
      const own = linears.filter((linear) => linear.kind === kind)
      return own.length > 0 ? mean(own.map(({ error }) => error)) : null
    }),
  )
  return {
    id: 'compare-kinds',
    title: 'Mean error by kind of linear',
    note: kindsOfError(runs),
    height: 320,
    draw: (theme, width) => ({
      ...base(theme),
      tooltip: { ...base(theme).tooltip, trigger: 'axis', valueFormatter: (/** @type {any} */ value) => percentOrNone(value) },
      xAxis: {
        ...axis(theme, ''),
        type: 'category',
        data: kinds.map((kind) => kind.split('.').slice(-1)[0]),
        splitLine: { show: false },
        axisLabel: { color: theme.soft, interval: 0, rotate: width < 700 ? 40 : 0 },
      },
      yAxis: {
        ...axis(theme, ''),
        type: 'value',
        axisLabel: { color: theme.soft, formatter: (/** @type {number} */ tick) => formatPercent(tick) },
      },
      series: runs.map(({ name }, i) => ({ name, type: 'bar', barGap: '10%', data: values[i] })),
    }),
    table: { columns: ['Kind', ...runs.map(({ name }) => name)], rows: kinds.map((kind, i) => [kind, ...values.map((own) => own[i])]) },
  }
}

/**
 * @param {readonly ReportRun[]} runs
 * @returns {string}
 */
function kindsOfError(runs) {
  const kinds = new Set(runs.flatMap(({ linears }) => linears.map(({ errorOf }) => errorOf)))
  if (kinds.size < 2) return `The share of the squared ${[...kinds][0] ?? 'outputs'} that is lost.`
  return 'Careful: some of these errors are of outputs on calibration rows, others of weights (runs without data). They are not of one measure.'
}

/**
 * @param {unknown} value
 * @returns {string}
 */
function percentOrNone(value) {
  return typeof value === 'number' ? formatPercent(value) : 'none'
}

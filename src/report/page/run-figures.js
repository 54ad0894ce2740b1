import { formatBytes, formatNumber, formatPercent } from '../../util/format.js'
import { axis, base, bytesAxis, mean, NARROW, tip } from './chart.js'

/** @import { ReportLinear, ReportRun } from '../report-run.ts' */
/** @import { Figure } from './chart.js' */

/**
 * The figures of one run, those that it has numbers for.
 * @param {ReportRun} run
 * @returns {Figure[]}
 */
export function runFigures(run) {
  return [sizes(run), errors(run), gains(run), ranges(run), outliers(run), dampings(run)].flatMap((figure) => figure ?? [])
}

/**
 * What an error is a share of.
 * @param {ReportRun} run
 * @returns {string}
 */
export function errorName({ linears }) {
  if (linears.every(({ errorOf }) => errorOf === 'outputs')) return 'Output error'
  return linears.every(({ errorOf }) => errorOf === 'weights') ? 'Weight error' : 'Error'
}

/**
 * @param {ReportRun} run
 * @returns {Figure | null}
 */
function sizes({ kinds, record: { size } }) {
  if (kinds.length === 0) return null
  const total = /** @type {const} */ ([`Before · ${formatBytes(size.before)}`, `After · ${formatBytes(size.after)}`])
  return {
    id: 'size',
    title: 'Size by kind',
    note: 'Bytes of all tensors in the files, scales and zero points included.',
    height: 190,
    draw: (theme, width) => ({
      ...base(theme, { top: width < NARROW ? 60 : 40 }),
      tooltip: {
        ...base(theme).tooltip,
        trigger: 'item',
        formatter: (/** @type {any} */ { seriesName, value, name }) => tip(seriesName, [[name.split(' ')[0], formatBytes(value)]]),
      },
      xAxis: bytesAxis(theme),
      yAxis: {
        ...axis(theme, ''),
        type: 'category',
        data: width < NARROW ? total.map((text) => text.replace(' · ', '\n')) : [...total],
        inverse: true,
        axisLabel: { color: theme.ink, fontWeight: 600, lineHeight: 16 },
      },
      series: kinds.map(({ kind, before, after }) => ({
        name: kind,
        type: 'bar',
        stack: 'size',
        barWidth: 34,
        itemStyle: { borderColor: theme.card, borderWidth: 1 },
        data: [before, after],
      })),
    }),
    table: { columns: ['Kind', 'Bytes before', 'Bytes after'], rows: kinds.map(({ kind, before, after }) => [kind, before, after]) },
  }
}

/**
 * The cells of the map of errors: columns are layers, rows kinds of linears; of experts the worst.
 * @param {ReportRun} run
 * @returns {{ layers: string[], kinds: string[], cells: { x: number, y: number, linear: ReportLinear }[] }}
 */
export function errorCells({ linears }) {
  const layers = [...new Set(linears.map(({ layer }) => (layer === null ? 'head' : String(layer))))]
  const kinds = [...new Set(linears.map(({ kind }) => kind))]
  /** @type {Map<string, { x: number, y: number, linear: ReportLinear }>} */
  const cells = new Map()
  for (const linear of linears) {
    const [x, y] = [layers.indexOf(linear.layer === null ? 'head' : String(linear.layer)), kinds.indexOf(linear.kind)]
    const known = cells.get(`${x} ${y}`)
    if (!known || known.linear.error < linear.error) cells.set(`${x} ${y}`, { x, y, linear })
  }
  return { layers, kinds, cells: [...cells.values()] }
}

/**
 * @param {ReportRun} run
 * @returns {Figure | null}
 */
function errors(run) {
  const { layers, kinds, cells } = errorCells(run)
  if (cells.length === 0) return null
  const shown = cells.flatMap(({ linear }) => (linear.error > 0 ? [Math.log10(linear.error)] : [])).sort((a, b) => a - b)
  // A few that lose next to nothing would take most of the colours.
  const [least, most] = shown.length > 0 ? [shown[Math.floor(shown.length / 20)], shown[shown.length - 1]] : [-6, -5]
  const name = errorName(run)
  return {
    id: 'errors',
    title: `${name} by layer and linear`,
    note:
      name === 'Output error'
        ? 'The share of the squared outputs on the calibration rows that is lost.'
        : 'The share of the squared weights that is lost.',
    height: 84 + 30 * kinds.length,
    draw: (theme, width) => ({
      ...base(theme, { top: 8, bottom: 52 }),
      legend: { show: false },
      tooltip: {
        ...base(theme).tooltip,
        formatter: (/** @type {any} */ { data }) => {
          const { linear } = cells[data.value[3]]
          return tip(linear.name, [
            [name, formatPercent(linear.error)],
            [linear.method, linear.scheme],
          ])
        },
      },
      xAxis: { ...axis(theme, 'Layer'), nameGap: 24, type: 'category', data: layers, splitLine: { show: false } },
      yAxis: {
        ...axis(theme, ''),
        type: 'category',
        data: kinds,
        inverse: true,
        splitLine: { show: false },
        axisLabel: { color: theme.soft, formatter: (/** @type {string} */ kind) => (width < NARROW ? shortKind(kind) : kind) },
      },
      visualMap: {
        min: least,
        max: Math.max(most, least + 0.01),
        dimension: 2,
        calculable: false,
        orient: 'horizontal',
        left: 'center',
        bottom: 0,
        itemHeight: Math.min(180, width / 3),
        itemWidth: 12,
        inRange: { color: [...theme.heat] },
        text: [formatPercent(10 ** most), `${formatPercent(10 ** least)} or less`],
        textStyle: { color: theme.soft },
      },
      series: [
        {
          type: 'heatmap',
          name,
          data: cells.map(({ x, y, linear }, at) => ({ name: linear.name, value: [x, y, Math.max(least, Math.log10(linear.error)), at] })),
          itemStyle: { borderColor: theme.card, borderWidth: 1, borderRadius: 2 },
          emphasis: { itemStyle: { borderColor: theme.ink, borderWidth: 2 } },
        },
      ],
    }),
    table: {
      columns: ['Linear', 'Method', 'Scheme', name, 'Held back', 'Plain rounding', 'Damping', 'Fallback', 'Seconds'],
      rows: run.linears.map((own) => [
        own.name,
        [...(own.rescaled ?? []).map(({ by }) => by), own.method].join(' + '),
        own.scheme,
        own.error,
        own.heldBackError ?? null,
        own.rtnError ?? null,
        own.damping ?? null,
        own.fallback ?? '',
        own.seconds,
      ]),
    },
  }
}

/**
 * `self_attn.q_proj` → `q_proj`
 * @param {string} kind
 * @returns {string}
 */
function shortKind(kind) {
  return kind.split('.').slice(-1)[0]
}

/**
 * @param {ReportRun} run
 * @returns {Figure | null}
 */
function gains({ linears }) {
  const measured = linears.filter(({ rtnError }) => rtnError !== undefined)
  if (measured.length === 0) return null
  const kinds = [...new Set(measured.map(({ kind }) => kind))]
  const of = (/** @type {(linear: ReportLinear) => number | undefined} */ value) =>
    kinds.map((kind) => mean(measured.filter((own) => own.kind === kind).flatMap((own) => value(own) ?? [])))
  const method = [...new Set(measured.map((own) => own.method))].join(', ')
  const columns = [
    { name: 'Plain rounding', values: of(({ rtnError }) => rtnError) },
    { name: method, values: of(({ error }) => error) },
    ...(measured.some(({ heldBackError }) => heldBackError !== undefined)
      ? [{ name: `${method}, rows held back`, values: of(({ heldBackError }) => heldBackError) }]
      : []),
  ]
  return {
    id: 'gain',
    title: `What ${method} gains`,
    note: 'Mean output error of each kind of linear. Rows that were held back from the method tell whether it learnt too much of the others.',
    height: 300,
    draw: (theme, width) => ({
      ...base(theme),
      color: [theme.soft, theme.before, theme.after],
      tooltip: { ...base(theme).tooltip, trigger: 'axis', valueFormatter: (/** @type {any} */ value) => formatPercent(value) },
      xAxis: {
        ...axis(theme, ''),
        type: 'category',
        data: kinds,
        splitLine: { show: false },
        axisLabel: {
          color: theme.soft,
          interval: 0,
          rotate: width < 700 ? 40 : 0,
          formatter: (/** @type {string} */ kind) => shortKind(kind),
        },
      },
      yAxis: {
        ...axis(theme, ''),
        type: 'value',
        axisLabel: { color: theme.soft, formatter: (/** @type {number} */ value) => formatPercent(value) },
      },
      series: columns.map(({ name, values }) => ({ name, type: 'bar', barGap: '10%', data: values })),
    }),
    table: {
      columns: ['Kind', ...columns.map(({ name }) => name)],
      rows: kinds.map((kind, i) => [kind, ...columns.map(({ values }) => values[i])]),
    },
  }
}

/**
 * The stages with inputs in rows of layers: what a line for each kind of stage is drawn from.
 * @param {ReportRun} run
 */
function stageLines({ stages }) {
  const measured = (stages ?? []).flatMap(({ stage, inputs }) => {
    const [layer, kind = 'inputs'] = stage.split(' · ')
    const number = /\.(\d+)$/.exec(layer)?.[1]
    return inputs ? [{ stage, layer: number ?? 'head', kind: kind.replace(/\d+/g, '*'), inputs }] : []
  })
  const layers = [...new Set(measured.map(({ layer }) => layer))]
  const kinds = [...new Set(measured.map(({ kind }) => kind))]
  const byKind = kinds.map((kind) => ({
    kind,
    // Of many experts the first stands for all: they read the same tokens.
    points: layers.map((layer) => measured.find((own) => own.layer === layer && own.kind === kind) ?? null),
  }))
  return { measured, layers, byKind }
}

/** @typedef {ReturnType<typeof stageLines>['measured'][number]} StagePoint */

/**
 * A line for each kind of stage over the layers, on a logarithmic axis.
 * @param {ReportRun} run
 * @param {(point: StagePoint) => number} value
 * @param {string} name
 * @param {(point: StagePoint) => string} tell
 * @returns {Figure['draw']}
 */
function overLayers(run, value, name, tell) {
  const { layers, byKind } = stageLines(run)
  return (theme) => ({
    ...base(theme, { bottom: 4 }),
    tooltip: {
      ...base(theme).tooltip,
      trigger: 'axis',
      formatter: (/** @type {any} */ shown) =>
        tip(
          `Layer ${shown[0].name}`,
          shown.flatMap((/** @type {any} */ { data, seriesName }) => (data.point ? [[seriesName, tell(data.point)]] : [])),
        ),
    },
    xAxis: {
      ...axis(theme, 'Layer'),
      nameGap: 24,
      type: 'category',
      data: layers,
      boundaryGap: layers.length < 2,
      splitLine: { show: false },
    },
    yAxis: {
      ...axis(theme, name),
      nameLocation: 'end',
      nameTextStyle: { color: theme.soft, align: 'left' },
      nameGap: 12,
      type: 'log',
      axisLabel: { color: theme.soft, formatter: (/** @type {number} */ tick) => formatNumber(tick) },
    },
    series: byKind.map(({ kind, points }) => ({
      name: kind,
      type: 'line',
      symbolSize: 7,
      lineStyle: { width: 2 },
      data: points.map((point) => ({ name: point?.stage, value: point && value(point) > 0 ? value(point) : null, point })),
    })),
  })
}

/**
 * @param {ReportRun} run
 * @returns {Figure | null}
 */
function ranges(run) {
  const { measured } = stageLines(run)
  if (measured.length === 0) return null
  const reach = (/** @type {StagePoint} */ { inputs }) => Math.max(-inputs.min, inputs.max)
  return {
    id: 'ranges',
    title: 'Activation ranges',
    note: 'The largest magnitude that enters the linears of a stage on the calibration rows. Wide ranges are what quantized inputs suffer from.',
    height: 300,
    draw: overLayers(run, reach, '', ({ inputs }) => `${formatNumber(inputs.min)} to ${formatNumber(inputs.max)}`),
    table: {
      columns: ['Stage', 'Min', 'Max'],
      rows: measured.map(({ stage, inputs }) => [stage, inputs.min, inputs.max]),
    },
  }
}

/**
 * @param {ReportRun} run
 * @returns {Figure | null}
 */
function outliers(run) {
  const { measured } = stageLines(run)
  if (measured.length === 0) return null
  const ratio = (/** @type {StagePoint} */ { inputs }) => (inputs.medianRms > 0 ? inputs.largest[0].rms / inputs.medianRms : 0)
  return {
    id: 'outliers',
    title: 'Outlier channels',
    note: 'How many times the root mean square of the largest input channel is that of the one in the middle. Where it is large, SmoothQuant, AWQ or a rotation help most.',
    height: 300,
    draw: overLayers(run, ratio, '', (point) => `channel ${point.inputs.largest[0].channel}, ${formatNumber(ratio(point))} times`),
    table: {
      columns: ['Stage', 'Median RMS', ...Array.from({ length: 10 }, (_, i) => [`Channel ${i + 1}`, `RMS ${i + 1}`]).flat()],
      rows: measured.map(({ stage, inputs }) => [stage, inputs.medianRms, ...inputs.largest.flatMap(({ channel, rms }) => [channel, rms])]),
    },
  }
}

/**
 * @param {ReportRun} run
 * @returns {Figure | null}
 */
function dampings({ linears }) {
  const damped = linears.filter(({ damping }) => damping !== undefined)
  if (!damped.some(({ dampingAsked }) => dampingAsked !== undefined)) return null
  const layers = [...new Set(linears.map(({ layer }) => (layer === null ? 'head' : String(layer))))]
  const kinds = [...new Set(damped.map(({ kind }) => kind))]
  return {
    id: 'damping',
    title: 'Damping',
    note: 'What was added to the diagonal of the Hessian, as a share of its mean, until it could be factored. Rings: more than asked for.',
    height: 280,
    draw: (theme) => ({
      ...base(theme, { bottom: 4 }),
      tooltip: { ...base(theme).tooltip, formatter: (/** @type {any} */ { data }) => tip(data.name, [['damping', String(data.value[1])]]) },
      xAxis: { ...axis(theme, 'Layer'), nameGap: 24, type: 'category', data: layers, splitLine: { show: false } },
      yAxis: { ...axis(theme, ''), type: 'log' },
      series: kinds.map((kind) => ({
        name: kind,
        type: 'scatter',
        symbolSize: 9,
        data: damped
          .filter((own) => own.kind === kind)
          .map((own) => ({
            name: own.name,
            value: [own.layer === null ? 'head' : String(own.layer), own.damping ?? 0],
            ...(own.dampingAsked !== undefined && { itemStyle: { borderColor: theme.ink, borderWidth: 2 } }),
          })),
      })),
    }),
    table: {
      columns: ['Linear', 'Damping', 'Asked for'],
      rows: damped.map(({ name, damping, dampingAsked }) => [name, damping ?? null, dampingAsked ?? damping ?? null]),
    },
  }
}

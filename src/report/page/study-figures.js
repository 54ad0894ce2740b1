import { formatBytes } from '../../util/format.js'
import { axis, base, bytesAxis, NARROW, tip } from './chart.js'
import { COLOURS, weightsFigure } from './weights-figure.js'

/** @import { Study } from '../study.ts' */
/** @import { Figure } from './chart.js' */

/**
 * The figures of a study.
 * @param {Study} study
 * @returns {[weights: Figure, sizes: Figure]}
 */
export function studyFigures(study) {
  return [weights(study), sizes(study)]
}

/**
 * @param {Study} study
 * @returns {Figure}
 */
function weights({ edges, histograms, parameters }) {
  return weightsFigure('Original against absmax and against zero-point', edges, histograms, parameters, false)
}

/**
 * @param {Study} study
 * @returns {Figure}
 */
function sizes({ sizes }) {
  return {
    id: 'sizes',
    title: 'Size of the parameters',
    note: 'As they are stored; as codes of one byte with a scale (and zero point) for each tensor; and by LLM.int8(), which quantizes the linears of the layers alone.',
    height: 230,
    draw: (theme, width) => ({
      ...base(theme, { top: 4 }),
      legend: { show: false },
      tooltip: {
        ...base(theme).tooltip,
        trigger: 'item',
        formatter: (/** @type {any} */ { name, value }) => tip(name, [['', formatBytes(value)]]),
      },
      xAxis: { ...bytesAxis(theme), splitNumber: width < NARROW ? 3 : 5 },
      yAxis: {
        ...axis(theme, ''),
        type: 'category',
        data: sizes.map(({ name }) => name),
        inverse: true,
        axisLabel: { color: theme.ink, fontWeight: 600 },
      },
      series: [
        {
          type: 'bar',
          barWidth: 24,
          label: {
            show: true,
            position: 'insideLeft',
            color: '#ffffff',
            formatter: (/** @type {any} */ { value }) => formatBytes(value),
          },
          data: sizes.map(({ bytes }, i) => ({ value: bytes, itemStyle: { color: COLOURS[i] } })),
        },
      ],
    }),
    table: {
      columns: ['Form', 'Bytes', 'Bytes of scales', 'Times smaller', 'Saved, %'],
      rows: sizes.map(({ name, bytes, scales, ratio, reduction }) => [
        name,
        bytes,
        scales,
        Number(ratio.toFixed(2)),
        Number((100 * reduction).toFixed(1)),
      ]),
    },
  }
}

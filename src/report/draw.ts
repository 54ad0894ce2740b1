import { markedPng } from './figure-mark.ts'
import type { Figure } from './page/chart.js'
import { THEMES } from './page/theme.js'

/** What figures can be written as. */
export const FIGURE_FORMATS = ['svg', 'png', 'csv', 'md'] as const
export type FigureFormat = (typeof FIGURE_FORMATS)[number]

/** Pixels of a figure's width, and how many of a picture's there are to each. */
const WIDTH = 960
const SCALE = 2

/** A figure as SVG, drawn without a browser. */
export async function drawSvg(figure: Figure, theme: keyof typeof THEMES): Promise<string> {
  const { init } = await import('echarts')
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: figure.height })
  try {
    chart.setOption({ ...figure.draw(THEMES[theme], WIDTH), backgroundColor: THEMES[theme].card })
    return chart.renderToSVGString()
  } finally {
    chart.dispose()
  }
}

/** A figure as a picture, of twice as many pixels, which says that llmpress made it. */
export async function drawPng(figure: Figure, theme: keyof typeof THEMES): Promise<Uint8Array> {
  const { rasterize } = await import('./rasterize.ts')
  return markedPng(await rasterize(await drawSvg(figure, theme), SCALE))
}

/** The numbers behind a figure, as RFC 4180 has them. */
export function figureCsv({ table: { columns, rows } }: Figure): string {
  return [columns, ...rows].map((row) => `${row.map(csvCell).join(',')}\r\n`).join('')
}

function csvCell(value: string | number | null): string {
  const text = String(value ?? '')
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** The numbers behind a figure as a Markdown table under its title. */
export function figureMarkdown({ title, note, table: { columns, rows } }: Figure): string {
  const line = (cells: readonly (string | number | null)[]) => `| ${cells.map(markdownCell).join(' | ')} |`
  const rule = `|${columns.map((_, i) => (typeof rows[0]?.[i] === 'number' ? '---:' : '---')).join('|')}|`
  return [`## ${title}`, '', note, '', line(columns), rule, ...rows.map(line), ''].join('\n')
}

function markdownCell(value: string | number | null): string {
  return String(value ?? '')
    .replaceAll('\\', '\\\\')
    .replaceAll('|', '\\|')
    .replaceAll(/\s+/g, ' ')
}

/**
 * Colours of figures. Series are told apart by people who see fewer colours too, and stand out from the ground at 3:1.
 * @typedef {{
 *   ink: string, soft: string, line: string, card: string,
 *   before: string, after: string, series: readonly string[], heat: readonly string[],
 * }} Theme
 */

/** @type {Readonly<Record<'light' | 'dark', Theme>>} */
export const THEMES = {
  light: {
    ink: '#1c1d21',
    soft: '#5b5f68',
    line: '#dcdcd6',
    card: '#ffffff',
    before: '#3465c9',
    after: '#cf6a1c',
    series: ['#3465c9', '#cf6a1c', '#1f8a7d', '#8a5cc9', '#c0436a', '#6f7681', '#8a7a16'],
    heat: ['#e9eff9', '#a9c4f0', '#5f8fe0', '#f2ad68', '#d2521c', '#8c1d12'],
  },
  dark: {
    ink: '#ececea',
    soft: '#a6abb5',
    line: '#33373f',
    card: '#1b1d22',
    before: '#7fa8ff',
    after: '#ff9d57',
    series: ['#7fa8ff', '#ff9d57', '#4fc3b2', '#b891f5', '#f07d9f', '#a6abb5', '#d1bf4a'],
    heat: ['#20283a', '#2c4579', '#4a78cf', '#d98a45', '#ff6b3d', '#ffc2a1'],
  },
}

/** What figures are set in: the system's own font, and the one that pictures are drawn with. Unquoted, since echarts does not escape them in SVG. */
export const FONT = 'system-ui, -apple-system, Segoe UI, Roboto, Inter, sans-serif'

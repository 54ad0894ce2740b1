// Plain JavaScript, since it also goes into pages as it is.

/**
 * Bytes for people, in decimal units as disks and hubs count them: `512 B`, `3.4 MB`.
 * @param {number} bytes
 * @returns {string}
 */
export function formatBytes(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(1)} ${units[unit]}`
}

/**
 * A duration given in seconds: `0.42 s`, `12.3 s`, `3 min 05 s`, `2 h 05 min`.
 * @param {number} seconds
 * @returns {string}
 */
export function formatSeconds(seconds) {
  if (seconds < 9.995) return `${seconds.toFixed(2)} s`
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0')
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`
}

/**
 * A share as a percentage of three significant digits: `0.71 %`, `33.1 %`; tiny ones as `1.2e-5 %`, zero as `0 %`.
 * @param {number} share
 * @returns {string}
 */
export function formatPercent(share) {
  const percent = 100 * share
  if (percent === 0) return '0 %'
  if (Math.abs(percent) < 1e-3) return `${percent.toExponential(1)} %`
  const decimals = Math.min(5, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(percent)))))
  return `${percent.toFixed(decimals)} %`
}

/**
 * A whole number with thousands separated: `24,480`.
 * @param {number} count
 * @returns {string}
 */
export function formatCount(count) {
  return count.toLocaleString('en-US')
}

/**
 * A count with its noun: `1 layer`, `4 layers`.
 * @param {number} count
 * @param {string} noun
 * @returns {string}
 */
export function plural(count, noun) {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}

/**
 * A measured number in few digits: `0.0312`, `12.4`, `1.2e-7`.
 * @param {number} value
 * @returns {string}
 */
export function formatNumber(value) {
  const size = Math.abs(value)
  if (value === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(value.toPrecision(3)))
  return value.toExponential(1)
}

/**
 * A count with a power of ten that three divides: `400`, `12.5e3`, `1.2e6`.
 * @param {number} value
 * @returns {string}
 */
export function formatEngineering(value) {
  const size = Math.abs(value)
  const power = size < 1000 ? 0 : 3 * Math.floor(Math.log10(size) / 3)
  return power === 0 ? String(Number(value.toPrecision(3))) : `${Number((value / 10 ** power).toPrecision(3))}e${power}`
}

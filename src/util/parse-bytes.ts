const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
}

/** Bytes of a text such as `4GB`, `1.5 GB`, `512MiB` or `4000000000`, as a whole number; null where it is no positive size. */
export function parseBytes(text: string): number | null {
  const [, digits, unit] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text) ?? []
  if (digits === undefined || unit === undefined) return null
  const factor = UNITS[unit.toLowerCase()]
  if (factor === undefined) return null
  const bytes = Math.floor(Number(digits) * factor)
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : null
}

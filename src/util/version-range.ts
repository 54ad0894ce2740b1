/**
 * Whether a version (`v20.19.1`, `4.22.0`) is in a range as package.json of llmpress has them: `^4.22.0`, `>=20.19`. Errors: RangeError for
 * a range of another form.
 */
export function isInRange(version: string, range: string): boolean {
  const [, operator, least] = /^(\^|>=)(\d+(?:\.\d+){0,2})$/.exec(range) ?? []
  if (least === undefined) throw new RangeError(`Cannot read the range ${range}: expected ^1.2.3 or >=1.2`)
  const found = numbers(version)
  const wanted = numbers(least)
  if (operator === '^' && found[0] !== wanted[0]) return false
  const at = wanted.findIndex((part, i) => part !== found[i])
  return at < 0 || found[at] > wanted[at]
}

/** Major, minor and patch; what follows a dash is left out. */
function numbers(version: string): number[] {
  const parts = version.replace(/^v/, '').split('-')[0].split('.').map(Number)
  return [0, 1, 2].map((i) => parts[i] ?? 0)
}

import { expect, test } from 'vitest'
import { isInRange } from '../../src/util/version-range.ts'

const CASES: [string, string, boolean][] = [
  ['v20.19.0', '>=20.19', true],
  ['v20.18.3', '>=20.19', false],
  ['v24.0.0', '>=20.19', true],
  ['v9.30.0', '>=20.19', false],
  ['4.22.0', '^4.22.0', true],
  ['4.22.1', '^4.22.0', true],
  ['4.100.0', '^4.22.0', true],
  ['4.21.9', '^4.22.0', false],
  ['5.0.0', '^4.22.0', false],
  ['4.22.0-rc.1', '^4.22.0', true],
]
test.each(CASES)('%s in %s: %s', (version, range, expected) => expect(isInRange(version, range)).toBe(expected))

test('a range of another form is an error', () => expect(() => isInRange('1.0.0', '1.x')).toThrow('expected ^1.2.3'))

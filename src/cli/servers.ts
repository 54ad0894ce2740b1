import { Option } from 'commander'
import type { ServerFinding } from '../servers/server.ts'
import { TARGETS } from '../servers/targets.ts'
import { foldLayers } from '../util/layer-names.ts'
import { colorsFor } from './colors.ts'

/** `--target`, for commands that ask whether a server has kernels for a checkpoint. */
export function targetOption(): Option {
  return new Option('--target <server>', 'what is to load it: tells what runs it, and what does not, by the rules of that server').choices(
    TARGETS,
  )
}

/** Findings for people: what is said, for which linears, and where the rule stands. */
export function findingsText(version: string, findings: readonly ServerFinding[]): string {
  const { bold, dim, red, yellow, green } = colorsFor(process.stdout)
  const colours = { error: red, warning: yellow, info: green }
  const marks = { error: 'refused', warning: 'warning', info: 'info' }
  const entries = findings.map(({ severity, message, modules, source }) =>
    [
      `  ${colours[severity](marks[severity])} ${message}`,
      ...foldLayers(modules).map((name) => `    ${name}`),
      dim(`    rule ${source.evidence === 'run' ? 'seen at work' : 'read'} in ${source.version}, ${source.where}`),
    ].join('\n'),
  )
  return [bold(`On ${version}`), ...(entries.length > 0 ? entries : ['  nothing is compressed'])].join('\n')
}

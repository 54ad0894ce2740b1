import { Option } from 'commander'
import type { Plan } from '../oneshot/plan.ts'
import { servedModel } from '../servers/served-model.ts'
import type { ServedModel, ServerFinding } from '../servers/server.ts'
import { TARGETS } from '../servers/targets.ts'
import { foldLayers } from '../util/layer-names.ts'
import { colorsFor } from './colors.ts'

/** `--target`, for commands that ask whether a server has kernels for a checkpoint. */
export function targetOption(): Option {
  return new Option('--target <server>', 'what is to load it: tells what runs it, and what does not, by the rules of that server').choices(
    TARGETS,
  )
}

/** The checkpoint that a plan would write, as servers see it. */
export function plannedModel({ config, linears, source }: Plan): ServedModel {
  const served = linears.map(({ spec, scheme, layout }) => ({
    name: spec.name,
    rows: spec.rows,
    columns: spec.columns,
    scheme: scheme && layout && { ...scheme, format: layout.format },
  }))
  return servedModel(config, served, source.model.head().name)
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

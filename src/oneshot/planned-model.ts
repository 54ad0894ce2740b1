import { servedModel } from '../servers/served-model.ts'
import type { ServedModel } from '../servers/server.ts'
import type { Plan } from './plan.ts'

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

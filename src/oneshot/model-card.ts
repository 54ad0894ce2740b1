import { basename } from 'node:path'
import type { LinearReport } from '../modifiers/modifier.ts'
import type { RunRecord } from '../report/record.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import { formatBytes } from '../util/format-bytes.ts'
import type { Plan } from './plan.ts'

const FORMAT_NAMES = {
  'compressed-tensors': 'compressed-tensors format',
  gptq: 'GPTQ format',
  awq: 'AWQ format (GEMM)',
  bitsandbytes: 'bitsandbytes format',
}

/** README.md of the checkpoint: what it is, how it was made, how good it is, how it is served. The front matter is what model hubs read. */
export function modelCard(plan: Plan, record: RunRecord): string {
  const schemes = [...new Set(plan.linears.flatMap(({ scheme }) => (scheme ? [schemeLabel(scheme)] : [])))]
  const folder = basename(plan.output)
  const { id, commit } = plan.origin
  const data = record.data ? `${record.data.rows} rows, ${record.data.tokens} tokens of ${record.data.source}` : 'none needed'
  // Hubs refuse a base_model that is none of theirs.
  const base = commit === null ? [] : [`base_model: ${id}`, 'base_model_relation: quantized']
  const tags = [plan.format, 'llmpress', ...schemes.map((scheme) => scheme.split(' ')[0])]
  return `---
${[...base, 'library_name: transformers', 'tags:', ...new Set(tags.map((tag) => `- ${tag}`))].join('\n')}
---
# ${folder}

${id} compressed to ${schemes.join(' and ')} with llmpress ${record.llmpress}.

| | |
|---|---|
| original | ${commit === null ? id : `${id}, commit ${commit}`} |
| recipe | ${plan.recipe.name} (\`recipe.yaml\`) |
| calibration | ${data} |
| tensors | ${formatBytes(record.size.before)} before, ${formatBytes(record.size.after)} after |
| linears compressed | ${record.linears.length}, left as they were: ${record.untouched.join(', ') || 'none'} |

${record.linears.length > 0 ? `${qualityTable(record.linears)}\n\n` : ''}What happened to each linear is in \`llmpress-report.json\`. The checkpoint is in the ${FORMAT_NAMES[plan.format]}:

${servedBy(plan, folder)}

Its recipe:

\`\`\`yaml
${plan.recipe.text.trimEnd()}
\`\`\`
`
}

/** How the checkpoint is taken into use. */
function servedBy({ format }: Plan, folder: string): string {
  if (format !== 'bitsandbytes') return `\`\`\`\nvllm serve ./${folder}\n\`\`\``
  return `\`\`\`python\nAutoModelForCausalLM.from_pretrained("./${folder}")  # needs bitsandbytes and accelerate\n\`\`\``
}

/** Errors by kind of linear, over all layers. */
function qualityTable(linears: readonly LinearReport[]): string {
  const kinds = new Map<string, LinearReport[]>()
  for (const linear of linears) {
    const kind = `${linear.name.split('.').pop()} | ${linear.method} | ${linear.scheme}`
    kinds.set(kind, [...(kinds.get(kind) ?? []), linear])
  }
  const rows = [...kinds].map(([kind, own]) => {
    const errors = own.map(({ error }) => error)
    const rounding = own.flatMap(({ rtnError }) => rtnError ?? [])
    const cells = [percent(mean(errors)), percent(Math.max(...errors)), rounding.length === own.length ? percent(mean(rounding)) : '']
    return `| ${kind} | ${cells.join(' | ')} |`
  })
  const of = linears.every(({ errorOf }) => errorOf === 'outputs') ? 'outputs on the calibration rows' : 'weights'
  return [
    `Squared error of the ${of}, as a share of their squares:`,
    '',
    '| linears | method | scheme | mean | worst | plain rounding |',
    '|---|---|---|---|---|---|',
    ...rows,
  ].join('\n')
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function percent(share: number): string {
  return `${(100 * share).toPrecision(3)} %`
}

import { basename } from 'node:path'
import { schemeLabel } from '../schemes/scheme.ts'
import { formatBytes } from '../util/format-bytes.ts'
import type { Plan } from './plan.ts'
import type { RunRecord } from './record.ts'

/** README.md of the checkpoint: what it is, how it was made, how it is served. The front matter is what model hubs read. */
export function modelCard(plan: Plan, record: RunRecord): string {
  const schemes = [...new Set(plan.linears.flatMap(({ scheme }) => (scheme ? [schemeLabel(scheme)] : [])))]
  const folder = basename(plan.output)
  const data = record.data ? `${record.data.rows} rows, ${record.data.tokens} tokens of ${record.data.source}` : 'none needed'
  return `---
base_model: ${plan.origin.id}
library_name: transformers
tags:
- compressed-tensors
- llmpress
---
# ${folder}

${plan.origin.id} compressed to ${schemes.join(' and ')} with llmpress ${record.llmpress}.

| | |
|---|---|
| recipe | ${plan.recipe.name} (\`recipe.yaml\`) |
| calibration | ${data} |
| tensors | ${formatBytes(record.size.before)} before, ${formatBytes(record.size.after)} after |
| linears compressed | ${record.linears.length}, left as they were: ${record.untouched.join(', ') || 'none'} |

What happened to each linear is in \`llmpress-report.json\`. The checkpoint is in the compressed-tensors format:

\`\`\`
vllm serve ./${folder}
\`\`\`
`
}

import { capitalize, strip } from '../harness/python-string.ts'
import { CHOICE_SETTINGS, indexOf, type Task, textOf, textsOf } from '../harness/task.ts'

/** HellaSwag (Zellers et al. 2019): which ending follows; `hellaswag.yaml` of lm-evaluation-harness. */
export const task: Task = {
  name: 'hellaswag',
  version: 1,
  data: { repo: 'Rowan/hellaswag', config: null, scored: 'validation', examples: 'train' },
  shots: 0,
  withoutOwn: true,
  written: null,
  settings: {
    ...CHOICE_SETTINGS,
    training_split: 'train',
    validation_split: 'validation',
    doc_to_text: '{{query}}',
    doc_to_target: '{{label}}',
    doc_to_choice: 'choices',
  },
  toDoc(row) {
    const choices = textsOf(row, 'endings').map(tidied)
    const context = `${textOf(row, 'ctx_a')} ${capitalize(textOf(row, 'ctx_b'))}`
    return { prompt: tidied(`${textOf(row, 'activity_label')}: ${context}`), choices, gold: indexOf(row, 'label', choices) }
  },
}

/** Without the marks in brackets that texts from WikiHow have. */
function tidied(text: string): string {
  return strip(text)
    .replaceAll(' [title]', '. ')
    .replace(/\[[^\n]*?\]/g, '')
    .replaceAll('  ', ' ')
}

import { CHOICE_SETTINGS, indexOf, type Task, textOf } from '../harness/task.ts'

/** PIQA (Bisk et al. 2020): which of two ways reaches a goal; `piqa.yaml` of lm-evaluation-harness. */
export const task: Task = {
  name: 'piqa',
  version: 1,
  data: { repo: 'baber/piqa', config: null, scored: 'validation', examples: 'train' },
  shots: 0,
  withoutOwn: true,
  written: null,
  settings: {
    ...CHOICE_SETTINGS,
    training_split: 'train',
    validation_split: 'validation',
    doc_to_text: 'Question: {{goal}}\nAnswer:',
    doc_to_target: 'label',
    doc_to_choice: '{{[sol1, sol2]}}',
  },
  toDoc(row) {
    const choices = [textOf(row, 'sol1'), textOf(row, 'sol2')]
    return { prompt: `Question: ${textOf(row, 'goal')}\nAnswer:`, choices, gold: indexOf(row, 'label', choices) }
  },
}

import { CHOICE_SETTINGS, refuse, type Task, textOf, textsOf } from '../harness/task.ts'

/** The easy part of ARC (Clark et al. 2018): questions of science lessons; `arc_easy.yaml` of lm-evaluation-harness. */
export const task: Task = {
  name: 'arc_easy',
  version: 1,
  data: { repo: 'allenai/ai2_arc', config: 'ARC-Easy', scored: 'test', examples: 'train' },
  shots: 0,
  withoutOwn: false,
  written: null,
  settings: {
    ...CHOICE_SETTINGS,
    training_split: 'train',
    validation_split: 'validation',
    test_split: 'test',
    doc_to_text: 'Question: {{question}}\nAnswer:',
    doc_to_target: '{{choices.label.index(answerKey)}}',
    doc_to_choice: '{{choices.text}}',
  },
  toDoc(row) {
    const choices = textsOf(row, 'choices', 'text')
    const labels = textsOf(row, 'choices', 'label')
    const key = textOf(row, 'answerKey')
    const gold = labels.indexOf(key)
    if (gold < 0 || gold >= choices.length) refuse(row, 'answerKey', key, `one of the labels ${labels.join(', ')}`)
    return { prompt: `Question: ${textOf(row, 'question')}\nAnswer:`, choices, gold }
  },
}

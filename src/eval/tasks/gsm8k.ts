import { type Task, textOf } from '../harness/task.ts'

const STOPS = ['Question:', '</s>', '<|im_end|>']

/** GSM8K (Cobbe et al. 2021): sums in words, whose answer is written and ends in `#### 12`; `gsm8k.yaml` of lm-evaluation-harness. */
export const task: Task = {
  name: 'gsm8k',
  version: 3,
  data: { repo: 'openai/gsm8k', config: 'main', scored: 'test', examples: 'train' },
  shots: 5,
  withoutOwn: false,
  written: {
    until: STOPS,
    maxTokens: 256,
    filters: [
      { name: 'strict-match', pattern: /#### (-?[0-9.,]+)/g, take: 'first' },
      { name: 'flexible-extract', pattern: /(-?[$0-9.,]{2,})|(-?[0-9]+)/g, take: 'last' },
    ],
    normalise: (answer) =>
      answer
        .replaceAll(',', '')
        .replaceAll('$', '')
        .replace(/[\s\S]*#### /g, '')
        // As Python's `$`, which also stands before a last line break.
        .replace(/\.(?=\n?$)/g, '')
        .toLowerCase(),
  },
  settings: {
    output_type: 'generate_until',
    training_split: 'train',
    fewshot_split: 'train',
    test_split: 'test',
    doc_to_text: 'Question: {{question}}\nAnswer:',
    doc_to_target: '{{answer}}',
    target_delimiter: ' ',
    fewshot_delimiter: '\n\n',
    repeats: 1,
    generation_kwargs: { until: STOPS, do_sample: false, temperature: 0 },
    metric_list: [{ metric: 'exact_match', aggregation: 'mean', higher_is_better: true }],
    filter_list: ['strict-match', 'flexible-extract'].map((name) => ({ name })),
  },
  toDoc(row) {
    return { prompt: `Question: ${textOf(row, 'question')}\nAnswer:`, choices: [textOf(row, 'answer')], gold: 0 }
  },
}

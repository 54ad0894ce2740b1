import { datasetRule } from '../data/load-rows.ts'
import { engineRule } from '../engine/open.ts'
import { threadsRule } from '../kernels/open.ts'
import { targetRule } from '../servers/targets.ts'
import {
  checkFolder,
  checkOptions,
  flag,
  folder,
  handler,
  isObject,
  type Rule,
  type Rules,
  signal,
  text,
  whole,
} from '../util/check-options.ts'
import { UserError } from '../util/errors.ts'
import { TEXT_FORMS } from './text-form.ts'

const HUB: Rules = { localFilesOnly: flag, onDownload: handler, signal }

const VERIFY: Rules = { against: folder, target: targetRule, ...HUB }

const TEXT: Rules = {
  dataset: { ...datasetRule, required: true },
  form: { expected: TEXT_FORMS.join(', '), fits: (value) => TEXT_FORMS.some((form) => form === value) },
  window: whole(2),
  windows: whole(1),
}

const PERPLEXITY: Rules = {
  ...TEXT,
  engine: engineRule,
  threads: threadsRule,
  ...HUB,
  onLayer: handler,
}

const atMost = (most: number): Rule => ({
  expected: `a number above 0, at most ${most}`,
  fits: (value) => typeof value === 'number' && value > 0 && value <= most,
})

const GENERATE: Rules = {
  model: { ...folder, required: true },
  prompt: text('a text'),
  messages: {
    expected: 'a list of { role, content }',
    fits: (value) =>
      Array.isArray(value) && value.length > 0 && value.every((turn) => isObject(turn) && isText(turn.role) && isText(turn.content)),
  },
  maxNewTokens: whole(1),
  maxLength: whole(1),
  greedy: flag,
  temperature: atMost(1000),
  topK: whole(0),
  topP: atMost(1),
  seed: whole(0, 2 ** 32 - 1),
  stop: { expected: 'a list of texts', fits: (value) => Array.isArray(value) && value.every((item) => isText(item) && item !== '') },
  engine: engineRule,
  threads: threadsRule,
  ...HUB,
  onLoad: handler,
  onPrompt: handler,
  onToken: handler,
}

/** Checks the options of `generate`. Errors: UserError that names the option. */
export function checkGenerate(options: unknown): void {
  checkOptions('generate', options, GENERATE)
  const given = (name: string) => isObject(options) && options[name] !== undefined
  if (given('prompt') === given('messages'))
    throw new UserError(
      `Cannot run generate: found ${given('prompt') ? 'a prompt and messages' : 'no prompt'}, expected prompt or messages.`,
    )
  if (given('maxLength') && given('maxNewTokens'))
    throw new UserError('Cannot run generate: found maxLength and maxNewTokens, expected one of them.')
  const sampled = ['temperature', 'topK', 'topP'].find(given)
  if (isObject(options) && options.greedy === true && sampled)
    throw new UserError(`Cannot run generate: found greedy and ${sampled}, expected one of them: nothing is drawn where greedy is true.`)
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

const TASKS: Rules = {
  shots: whole(0),
  limit: {
    expected: 'a number above 0',
    fits: (value) => typeof value === 'number' && value > 0 && (value < 1 || Number.isInteger(value)),
  },
  data: text('a folder'),
}

const EVALUATE: Rules = {
  models: {
    expected: 'a list of checkpoint folders, or org/name on the hub',
    fits: (value) => Array.isArray(value) && value.length > 0 && value.every((item) => folder.fits(item)),
    required: true,
  },
  against: folder,
  text: { expected: 'an object with dataset', fits: isObject },
  tasks: {
    expected: 'a list of names',
    fits: (value) => Array.isArray(value) && value.every((item) => isText(item) && item.trim() !== ''),
  },
  taskOptions: { expected: 'an object with shots, limit or data', fits: isObject },
  addBosToken: flag,
  batch: whole(1),
  engine: engineRule,
  threads: threadsRule,
  ...HUB,
  onStep: handler,
  onFound: handler,
}

/** Checks the options of `evaluate`. Errors: UserError that names the option. */
export function checkEvaluate(options: unknown): void {
  checkOptions('evaluate', options, EVALUATE)
  if (!isObject(options)) return
  const { text: asked, tasks, taskOptions } = options
  if (asked !== undefined) checkOptions('evaluate with text', asked, TEXT)
  if (taskOptions !== undefined) checkOptions('evaluate with taskOptions', taskOptions, TASKS)
  if (asked === undefined && !(Array.isArray(tasks) && tasks.length > 0))
    throw new UserError('Cannot run evaluate: found neither text nor tasks, expected one of them or both.')
}

const STUDY: Rules = {
  model: { ...folder, required: true },
  prompt: text('a text'),
  maxLength: whole(1),
  topK: whole(0),
  seed: whole(0, 2 ** 32 - 1),
  text: datasetRule,
  window: whole(2),
  windows: whole(1),
  range: {
    expected: 'two numbers, the lower one first',
    fits: (value) => Array.isArray(value) && value.length === 2 && value.every(Number.isFinite) && value[0] < value[1],
  },
  bins: whole(1, 10_000),
  engine: engineRule,
  threads: threadsRule,
  ...HUB,
  onStep: handler,
}

/** Checks the options of `study`. Errors: UserError that names the option. */
export function checkStudy(options: unknown): void {
  checkOptions('study', options, STUDY)
}

/** Checks the arguments of `verify`. Errors: UserError that names the argument or option. */
export function checkVerify(checkpoint: unknown, options: unknown): void {
  checkFolder('verify', checkpoint)
  checkOptions('verify', options, VERIFY)
}

/** Checks the arguments of `inspect`. Errors: UserError. */
export function checkInspect(checkpoint: unknown, options: unknown): void {
  checkFolder('inspect', checkpoint)
  checkOptions('inspect', options, { against: folder, ...HUB })
}

/** Checks the arguments of `inspectTensor`. Errors: UserError. */
export function checkInspectTensor(checkpoint: unknown, tensor: unknown, options: unknown): void {
  checkFolder('inspectTensor', checkpoint)
  if (typeof tensor !== 'string' || tensor.trim() === '')
    throw new UserError(`Cannot run inspectTensor: tensor is ${JSON.stringify(tensor)}, expected the name of a tensor or a module.`)
  checkOptions('inspectTensor', options, { first: whole(0), ...HUB })
}

/** Checks the arguments of `compare`. Errors: UserError. */
export function checkCompare(a: unknown, b: unknown, options: unknown): void {
  checkFolder('compare', a)
  checkFolder('compare', b)
  checkOptions('compare', options, { onTensor: handler, ...HUB })
}

/** Checks the arguments of `perplexity`. Errors: UserError that names the argument or option. */
export function checkPerplexity(checkpoint: unknown, options: unknown): void {
  checkFolder('perplexity', checkpoint)
  checkOptions('perplexity', options, PERPLEXITY)
}

const texts: Rule = {
  expected: 'a list of texts',
  fits: (value) => Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string' && item.trim() !== ''),
}

const REQUESTS: Rules = { prompts: texts, maxNewTokens: whole(1), now: handler }

/** Checks the arguments of `bench`. Errors: UserError that names the argument or option. */
export function checkBench(model: unknown, options: unknown): void {
  checkFolder('bench', model)
  checkOptions('bench', options, { ...REQUESTS, engine: engineRule, threads: threadsRule, onPass: handler, ...HUB })
}

/** Checks the arguments of `benchServer`. Errors: UserError that names the argument or option. */
export function checkBenchServer(url: unknown, options: unknown): void {
  if (typeof url !== 'string') throw new UserError(`Cannot run benchServer: found ${JSON.stringify(url)}, expected the server's address.`)
  checkOptions('benchServer', options, {
    ...REQUESTS,
    model: text("the model's name"),
    apiKey: text('the key of the server'),
    timeout: whole(1),
    signal,
  })
}

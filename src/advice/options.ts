import { checkFolder, checkOptions, flag, handler, isObject, type Rule, type Rules, signal, text, whole } from '../util/check-options.ts'
import { UserError } from '../util/errors.ts'
import { GOALS } from './goals.ts'
import { PURPOSES } from './purposes.ts'

const HUB: Rules = { localFilesOnly: flag, onDownload: handler, signal }
const list: Rule = { expected: 'a list', fits: Array.isArray }

/** Checks the arguments of `estimate`. Errors: UserError that names the argument or option. */
export function checkEstimate(model: unknown, options: unknown): void {
  checkFolder('estimate', model)
  checkOptions('estimate', options, { recipes: list, context: whole(1), modifiers: list, ...HUB })
}

/** Checks the arguments of `recommend`. Errors: UserError that names the argument or option. */
export function checkRecommend(model: unknown, options: unknown): void {
  checkFolder('recommend', model)
  const goal: Rule = { expected: `one of ${GOALS.join(', ')}`, fits: (value) => GOALS.some((name) => name === value) }
  const purpose: Rule = { expected: `one of ${PURPOSES.join(', ')}`, fits: (value) => PURPOSES.some((name) => name === value) }
  checkOptions('recommend', options, {
    gpu: text('the name of a GPU, a size of memory such as 24GB, or cpu'),
    goal,
    purpose,
    context: whole(1),
    ...HUB,
  })
  if (isObject(options) && options.goal !== undefined && options.purpose !== undefined)
    throw new UserError('Cannot run recommend: found goal and purpose, expected one of them.')
}

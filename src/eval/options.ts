import { datasetRule } from '../data/load-rows.ts'
import { engineRule } from '../engine/open.ts'
import { threadsRule } from '../kernels/open.ts'
import { targetRule } from '../servers/targets.ts'
import { checkFolder, checkOptions, flag, folder, handler, type Rules, signal, whole } from '../util/check-options.ts'
import { UserError } from '../util/errors.ts'

const HUB: Rules = { localFilesOnly: flag, onDownload: handler, signal }

const VERIFY: Rules = { against: folder, target: targetRule, ...HUB }

const PERPLEXITY: Rules = {
  dataset: { ...datasetRule, required: true },
  window: whole(2),
  windows: whole(1),
  engine: engineRule,
  threads: threadsRule,
  ...HUB,
  onLayer: handler,
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

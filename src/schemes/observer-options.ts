import type { QuantizationScheme } from '../checkpoint/quantization-config.ts'
import type { PartialArgs } from './args.ts'
import { activationObserver, weightObserver } from './observers.ts'
import { SchemeError } from './scheme-error.ts'

/** The options of a quantizing modifier that replace the observers of its schemes. */
export interface ObserverOptions {
  readonly weight_observer?: string | null
  readonly input_observer?: string | null
  readonly output_observer?: string | null
  readonly observer?: Readonly<Record<string, string>> | null
}

/** The observers that replace those of the schemes; null leaves them. */
export interface Observers {
  readonly weights: string | null
  readonly input: string | null
}

interface Asked {
  readonly value: string
  readonly path: readonly string[]
}

/** The observer asked for, by its own key or in the mapping of all. */
function asked(options: ObserverOptions, role: 'weights' | 'input' | 'output'): Asked | null {
  const key = role === 'weights' ? 'weight_observer' : (`${role}_observer` as const)
  const single = options[key]
  if (single && options.observer) {
    throw new SchemeError(`Cannot use ${key} and observer together: found both, expected one of them`, [key])
  }
  const inMapping = options.observer?.[role]
  if (single) return { value: single, path: [key] }
  return inMapping ? { value: inMapping, path: ['observer', role] } : null
}

/** Its name once `read` has taken it; the error of `read` is about that name, whatever key it points at. */
function checked(observer: Asked | null, read: (name: string) => unknown): string | null {
  if (!observer) return null
  try {
    read(observer.value)
    return observer.value
  } catch (error) {
    throw error instanceof SchemeError ? new SchemeError(error.message, observer.path) : error
  }
}

/** The observers that a modifier's options ask for. Errors: SchemeError naming the option, for a name that is not known or no use. */
export function observersOf(options: ObserverOptions): Observers {
  const output = asked(options, 'output')
  if (output) {
    throw new SchemeError(
      `Cannot use an observer of outputs: found "${output.value}", expected none: outputs are not quantized, so nothing is observed`,
      output.path,
    )
  }
  return {
    weights: checked(asked(options, 'weights'), (name) => weightObserver(name, {})),
    input: checked(asked(options, 'input'), (name) => activationObserver(name, {})),
  }
}

/** Args with another observer, where one is asked for and something is observed. */
export function withObserver<T extends PartialArgs | null | undefined>(args: T, observer: string | null): T | PartialArgs {
  return args && observer !== null && args.dynamic !== true ? { ...args, observer } : args
}

/** Errors: SchemeError for an observer of inputs where no scheme observes any. */
export function checkInputsObserved(options: ObserverOptions, schemes: readonly QuantizationScheme[]): void {
  const input = asked(options, 'input')
  if (!input || schemes.some(({ input_activations: inputs }) => inputs !== null && inputs.dynamic !== true)) return
  throw new SchemeError(
    `Cannot use an observer of inputs: found "${input.value}", expected none: no scheme stores scales of inputs, so nothing is observed`,
    input.path,
  )
}

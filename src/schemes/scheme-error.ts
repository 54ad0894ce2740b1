import { UserError } from '../util/errors.ts'

/** A scheme that cannot be used. `path` leads to the culprit from the object that was read (a modifier's options, a scheme, ...). */
export class SchemeError extends UserError {
  override name = 'SchemeError'
  readonly path: readonly (string | number)[]
  constructor(message: string, path: readonly (string | number)[] = []) {
    super(message)
    this.path = path
  }
}

/** Runs `read`, putting `path` before the path of a SchemeError. */
export function under<T>(path: readonly (string | number)[], read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof SchemeError) throw new SchemeError(error.message, [...path, ...error.path])
    throw error
  }
}

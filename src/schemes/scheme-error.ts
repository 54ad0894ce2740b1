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

/** Where a recipe went wrong: file, and line and column counted from 1. */
export interface Position {
  file: string
  line: number
  column: number
}

/**
 * Something the user can put right before any compute: a wrong flag, recipe, model folder or data file. Exit code 2.
 * Messages follow `Cannot <action> <subject>: <what was found>, expected <what>`.
 */
export class UserError extends Error {
  override name = 'UserError'
}

/** A recipe that cannot be used. `position` points at the offending key or value; `frame` shows the source line with a caret. */
export class RecipeError extends UserError {
  override name = 'RecipeError'
  readonly position: Position | undefined
  constructor(message: string, position?: Position, frame?: string) {
    const where = position ? ` (${position.file}:${position.line}:${position.column})` : ''
    super(message + where + (frame ? `\n${frame}` : ''))
    this.position = position
  }
}

/** A model folder or file that is damaged, hostile or not what its own headers say. `file` and `tensor` name the culprit. */
export class CheckpointError extends UserError {
  override name = 'CheckpointError'
  readonly file: string | undefined
  readonly tensor: string | undefined
  constructor(message: string, where: { file?: string; tensor?: string } = {}, options?: ErrorOptions) {
    super(message, options)
    this.file = where.file
    this.tensor = where.tensor
  }
}

/** Calibration or evaluation data that cannot be used. */
export class DataError extends UserError {
  override name = 'DataError'
}

/** A run that was asked to stop and did, between two layers: the same call goes on from there. Exit code 75. */
export class RunStopped extends Error {
  override name = 'RunStopped'
}

/** A run that began and could not go on: NaN in the activations, disk full, an engine that failed. Exit code 1. */
export class RunError extends Error {
  override name = 'RunError'
}

import { UserError } from '../util/errors.ts'

/** What an engine needs is not on this machine: packages that nobody installed, or a GPU. */
export class Absent extends UserError {
  override name = 'Absent'
}

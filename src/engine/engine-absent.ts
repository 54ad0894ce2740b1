import { UserError } from '../util/errors.ts'

/** What an engine needs, packages or a device, is not on this machine: nothing has failed. */
export class EngineAbsent extends UserError {
  override name = 'EngineAbsent'
}

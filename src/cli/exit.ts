import { CommanderError } from 'commander'
import { match, P } from 'ts-pattern'
import { RunError, RunStopped, UserError } from '../util/errors.ts'
import { Interrupted } from './interrupt.ts'

/** 0 ok; 1 the run failed; 2 the user can put it right: flags, recipe, model, data; 75 stopped, to be gone on with; 130 interrupted. */
export type ExitCode = 0 | 1 | 2 | 75 | 130

/** The exit code that an error stands for. */
export function exitCodeOf(error: unknown): ExitCode {
  return match(error)
    .returnType<ExitCode>()
    .with(P.instanceOf(Interrupted), () => 130)
    .with(P.instanceOf(RunStopped), () => 75)
    .with(P.instanceOf(UserError), () => 2)
    .with(P.instanceOf(CommanderError), ({ exitCode }) => (exitCode === 0 ? 0 : 2))
    .otherwise(() => 1)
}

/**
 * What is said about an error on stderr, without colour: its message; for one that nobody foresaw also that it is a bug and how to
 * report it; with `debug` its stack. Null for what commander has already printed.
 */
export function messageOf(error: unknown, { debug }: { debug: boolean }): string | null {
  if (error instanceof CommanderError) return null
  if (debug) return error instanceof Error ? withCauses(error) : String(error)
  if (error instanceof UserError || error instanceof RunError || error instanceof RunStopped || error instanceof Interrupted)
    return error.message
  if (isSystemError(error)) return `The system refused: ${error.message}.`
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return `Unexpected ${what}\nThis is a bug in llmpress. Please report it with what the same command prints under --debug.`
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}

function withCauses(error: Error): string {
  const own = error.stack ?? `${error.name}: ${error.message}`
  return error.cause instanceof Error ? `${own}\ncaused by ${withCauses(error.cause)}` : own
}

/** Whether there was no answer at all: no way to the server, or a connection that broke before the headers. */
export function isUnreachable(error: unknown): error is TypeError {
  // What Node's fetch throws when there is no connection, with the system's error as its cause.
  return error instanceof TypeError && error.message === 'fetch failed'
}

/** Why there was no answer, `ECONNRESET`; where the system has no code for it, in its words. */
export function unreachableCode({ cause }: TypeError): string {
  // For a name with several addresses Node throws one error that holds those of all.
  const first = cause instanceof AggregateError ? (cause.errors[0] as unknown) : cause
  return first instanceof Error ? ((first as NodeJS.ErrnoException).code ?? first.message) : 'no connection'
}

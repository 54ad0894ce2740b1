/** Writes a result for people to stdout. Everything else goes to stderr. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** Writes the one JSON document of a command under `--json`. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

/** Writes one of many JSON objects, a line each. */
export function printJsonLine(value: unknown): void {
  print(JSON.stringify(value))
}

/**
 * Ends the process quietly when a reader such as `head` closes stdout, and with a message and exit code 1 when stdout cannot be written for
 * another reason, such as a full disk. A stderr that cannot be written only loses messages.
 */
export function tolerateClosedStreams(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit()
    process.stderr.write(`error: Cannot write the result to stdout: ${error.message}.\n`)
    process.exit(1)
  })
  process.stderr.on('error', () => {})
}

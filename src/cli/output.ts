/** Writes a result for people to stdout. Everything else goes to stderr. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** Writes the one JSON document of a command under `--json`. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

/** Ends the process quietly when a reader such as `head` closes stdout; a closed stderr only loses messages. */
export function tolerateClosedPipes(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit()
    throw error
  })
  process.stderr.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}

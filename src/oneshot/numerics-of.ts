/** What a result's bytes depend on of an engine, or of what a record says of one: which one it is, not its threads. */
export function numericsOf({ name, detail }: { readonly name: string; readonly detail: string }): string {
  return `${name}, ${detail.replace(/, \d+ threads?/, '')}`
}

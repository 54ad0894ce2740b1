import type { Engine } from '../engine/engine.ts'

/** What a result's bytes depend on of an engine: which one it is, not its threads. */
export function numericsOf({ name, detail }: Pick<Engine, 'name' | 'detail'>): string {
  return `${name}, ${detail.replace(/, \d+ threads?/, '')}`
}

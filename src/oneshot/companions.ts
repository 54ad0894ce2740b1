import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isCompanion } from '../checkpoint/companion-names.ts'
import type { OpenModel } from '../models/open-model.ts'

/** The files beside a model's weights that go with the compressed checkpoint, read one after the other; code is copied, never run. */
export async function* companionFiles({ path, config }: OpenModel): AsyncGenerator<{ name: string; bytes: Uint8Array }> {
  for (const name of await readdir(path)) {
    if (!isCompanion(name, config)) continue
    const file = join(path, name)
    if ((await stat(file)).isFile()) yield { name, bytes: await readFile(file) }
  }
}

import { readdir, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { CheckpointError } from '../util/errors.ts'

/** What is read from a model folder, or copied beside the result: `companion-names.ts`, weights, config and index, code. */
const READ = /\.(safetensors|json|jinja|model|tiktoken|txt|py)$|^(LICEN[CS]E|NOTICE|USE_POLICY)/i

/**
 * Refuses a model folder with a link to a file outside of it: it could carry any file of this machine into the result, and from there to
 * the hub. In a snapshot of the hub's cache links to the blobs of the same repository are what files are. Errors: CheckpointError.
 */
export async function refuseForeignLinks(dir: string): Promise<void> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
  const links = entries.filter((entry) => entry.isSymbolicLink() && READ.test(entry.name))
  if (links.length === 0) return
  const root = await realpath(dir)
  const [, repository] = /^(.*)[/\\]snapshots[/\\][^/\\]+$/.exec(root) ?? []
  const allowed = [root, ...(repository === undefined ? [] : [join(repository, 'blobs')])]
  for (const { name } of links) {
    // A link to nothing is a missing file to whoever reads it.
    const target = await realpath(join(dir, name)).catch(() => null)
    if (target === null || allowed.some((folder) => target.startsWith(folder + sep))) continue
    const message = `Cannot open ${dir}: found ${name}, a link to ${target}, expected files of the folder's own (links are followed in the hub's cache alone).`
    throw new CheckpointError(`${message} Put the file in its place.`, { file: join(dir, name) })
  }
}

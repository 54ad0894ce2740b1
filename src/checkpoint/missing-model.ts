import { existsSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { didYouMean, nearest } from '../util/nearest.ts'

const EXPECTED = 'expected a model folder (config.json, safetensors, tokenizer.json) or org/name on the hub'

/** Names of a folder that a message lists. */
const LISTED = 4

/**
 * Why there is no config.json in what was named as a model, for a message: the folder is not there (and which one was probably meant), it is
 * a file, or other things are in it (and which folder of them is a model). `config`: the file's name.
 */
export async function missingModel(dir: string, config: string): Promise<string> {
  let there = dir
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there)
  if (existsSync(there) && !(await stat(there)).isDirectory()) return `${there} is a file, ${EXPECTED}`
  const found = (await readdir(there, { withFileTypes: true }).catch(() => [])).sort((a, b) => a.name.localeCompare(b.name))
  // A link may lead to a folder, too.
  const folders = found.filter((entry) => !entry.isFile()).map(({ name }) => name)
  if (there !== dir) {
    const isBeside = dirname(dir) === there
    const near = isBeside ? nearest(basename(dir), folders) : undefined
    const meant = near === undefined ? '' : didYouMean(basename(dir), folders).replace(near, join(there, near))
    return `there is no folder ${dir}${meant}, ${EXPECTED}`
  }
  const models = folders.filter((name) => existsSync(join(dir, name, config)))
  if (models.length > 0) return `there is no ${config} in ${dir}, but in ${listed(models.map((name) => join(dir, name)))}, ${EXPECTED}`
  const holds = found.length === 0 ? 'which is empty' : `which holds ${listed(found.map(({ name }) => name))}`
  return `there is no ${config} in ${dir}, ${holds}, ${EXPECTED}`
}

function listed(names: readonly string[]): string {
  return names.length > LISTED ? `${names.slice(0, LISTED).join(', ')} and ${names.length - LISTED} more` : names.join(', ')
}

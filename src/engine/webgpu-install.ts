import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from '../util/errors.ts'
import { makeFolder } from '../util/make-folder.ts'
import { cacheDirectory } from './cache-dir.ts'
import { type InstallOptions, runCommand, step, type Workshop } from './install-step.ts'
import { TFJS_NODE_VERSION, WEBGPU_VERSION, webgpuFolder } from './native-folder.ts'

export interface InstalledWebgpu {
  /** Where it lies. */
  dir: string
  /** The adapter that it finds, as its driver names it; null where there is none. */
  adapter: string | null
  /** It was there already. */
  already: boolean
}

/**
 * Fetches Dawn for Node and tfjs's backend on it from npm, into the cache folder and never into the user's project; nothing is built and no
 * install script runs. Done in a temporary folder that is renamed once a child process has loaded it. Errors: UserError without npm;
 * RunError with what a step printed.
 */
export async function installWebgpu(options: InstallOptions = {}): Promise<InstalledWebgpu> {
  const { force = false, cacheDir = cacheDirectory(), log = () => {}, signal } = options
  const dir = webgpuFolder(cacheDir)
  if (existsSync(dir) && !force) return { dir, adapter: await findAdapter({ dir, engine: 'webgpu', signal }), already: true }
  if ((await runCommand('npm', ['--version'], process.cwd(), signal)).code !== 0) {
    throw new UserError('Cannot install the webgpu engine: npm was not found, expected the one that comes with Node.js')
  }
  await makeFolder(cacheDir)
  const scratch = await mkdtemp(join(cacheDir, '.webgpu-'))
  try {
    const shop = { dir: scratch, engine: 'webgpu', signal }
    await writeFile(join(scratch, 'package.json'), '{ "private": true }\n')
    const packages = [`webgpu@${WEBGPU_VERSION}`, `@tensorflow/tfjs-backend-webgpu@${TFJS_NODE_VERSION}`]
    log(`Downloading ${packages.join(' and ')} from npm`)
    await step(shop, 'npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...packages])
    await keepOwnPlatform(join(scratch, 'node_modules', 'webgpu', 'dist'))
    log('Trying it')
    const adapter = await findAdapter(shop)
    await rm(dir, { recursive: true, force: true })
    await rename(scratch, dir)
    return { dir, adapter, already: false }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** The package has Dawn for five platforms: 25 of 130 MB stay. */
async function keepOwnPlatform(dist: string): Promise<void> {
  const own = process.platform === 'darwin' ? 'darwin-universal' : `${process.platform}-${process.arch}`
  for (const entry of await readdir(dist)) if (entry !== own) await rm(join(dist, entry), { recursive: true })
}

/** In a process of its own, so that a driver that crashes does not take this one along. */
async function findAdapter(shop: Workshop): Promise<string | null> {
  const program = `
    const { create } = await import('webgpu')
    const adapter = await create([]).requestAdapter()
    console.log('adapter ' + (adapter ? adapter.info.device || adapter.info.description : ''))`
  const output = await step(shop, process.execPath, ['--input-type=module', '-e', program])
  return /^adapter (.+)$/m.exec(output)?.[1] ?? null
}

import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RunError, UserError } from '../util/errors.ts'
import { makeFolder } from '../util/make-folder.ts'
import { cacheDirectory } from './cache-dir.ts'
import { type InstallOptions, runCommand, step, type Workshop } from './install-step.ts'
import { MUTE_ADDON, MUTE_SOURCE } from './mute-stderr.ts'
import { nativeFolder, TENSORFLOW_VERSION, TFJS_NODE_VERSION } from './native-folder.ts'

interface NativeOptions extends InstallOptions {
  gpu?: boolean
}

interface NativeShop extends Workshop {
  readonly packageName: string
}

export interface Installed {
  /** Where it lies. */
  dir: string
  /** `2.21.0`, as the library itself says. */
  tensorflow: string
  /** It was there already; nothing was built. */
  already: boolean
}

/**
 * Builds tfjs-node's binding against a current TensorFlow, in the cache folder and never in the user's project: npm packages without their
 * install scripts, TensorFlow's wheel for its libraries, one g++ call. Done in a temporary folder that is renamed once a child process
 * has multiplied two matrices with it. UserError names missing tools; RunError says which step failed and what it printed.
 */
export async function installNative(options: NativeOptions = {}): Promise<Installed> {
  const { gpu = false, force = false, cacheDir = cacheDirectory(), log = () => {}, signal } = options
  const dir = nativeFolder(gpu, cacheDir)
  const packageName = gpu ? '@tensorflow/tfjs-node-gpu' : '@tensorflow/tfjs-node'
  if (existsSync(dir) && !force) {
    const tensorflow = await tryInstalled({ dir, engine: 'native', packageName, signal }, log)
    if (tensorflow !== null) return { dir, tensorflow, already: true }
  }
  await requireTools(signal)
  await makeFolder(cacheDir)
  const scratch = await mkdtemp(join(cacheDir, '.native-'))
  try {
    const tensorflow = await build({ dir: scratch, engine: 'native', packageName, signal }, gpu, log)
    await rm(dir, { recursive: true, force: true })
    await rename(scratch, dir)
    log(`TensorFlow ${tensorflow} is ready: ${dir}`)
    return { dir, tensorflow, already: false }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** The version of what is there, or null when it no longer works (another C library, half removed) and has to be built again. */
async function tryInstalled(shop: NativeShop, log: (line: string) => void): Promise<string | null> {
  try {
    const tensorflow = await smokeTest(shop)
    log(`TensorFlow ${tensorflow} is already there: ${shop.dir}`)
    return tensorflow
  } catch (error) {
    if (!(error instanceof RunError)) throw error
    log(`${shop.dir} is there and does not work: building it again`)
    return null
  }
}

async function build(shop: NativeShop, gpu: boolean, log: (line: string) => void): Promise<string> {
  const { dir, packageName } = shop
  await writeFile(join(dir, 'package.json'), '{ "private": true }\n')
  log(`Downloading ${packageName} ${TFJS_NODE_VERSION} from npm`)
  await step(shop, 'npm', [
    'install',
    '--prefix',
    dir,
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    `${packageName}@${TFJS_NODE_VERSION}`,
    'node-api-headers@^1',
  ])
  const wheel = gpu ? `tensorflow[and-cuda]==${TENSORFLOW_VERSION}` : `tensorflow-cpu==${TENSORFLOW_VERSION}`
  log(`Downloading ${wheel} from PyPI`)
  await step(shop, 'python3', pipArguments(wheel, gpu))
  log('Compiling the binding')
  await compile(shop)
  if (!gpu) await keepLibrariesOnly(join(dir, 'py'))
  log('Trying it')
  return smokeTest(shop)
}

/**
 * Only the wheel's libraries are used, so any Python can fetch it: the version named is one the wheel exists for. On the GPU the
 * nvidia wheels come along, beside it, where its own RPATHs look for them.
 */
function pipArguments(wheel: string, gpu: boolean): string[] {
  const target = ['--target', 'py', '--python-version', '3.12', '--only-binary=:all:', '--no-compile', '--disable-pip-version-check']
  return ['-m', 'pip', 'install', '--quiet', ...(gpu ? [] : ['--no-deps']), ...target, wheel]
}

async function compile(shop: NativeShop): Promise<void> {
  const tensorflow = join('py', 'tensorflow')
  for (const library of ['libtensorflow_cc.so', 'libtensorflow_framework.so']) {
    await symlink(`${library}.2`, join(shop.dir, tensorflow, library))
  }
  const source = join('node_modules', shop.packageName)
  const output = join(source, 'lib', 'napi-v8')
  await mkdir(join(shop.dir, output), { recursive: true })
  const headers = join('node_modules', 'node-api-headers', 'include')
  const includes = [source, join(tensorflow, 'include'), headers].map((path) => `-I${path}`)
  const sources = ['tfjs_backend.cc', 'tfjs_binding.cc'].map((file) => join(source, 'binding', file))
  const libraries = [`-L${tensorflow}`, '-ltensorflow_cc', '-ltensorflow_framework']
  // Relative to the binding, so that the folder can be renamed and moved.
  const rpath = '-Wl,-rpath,$ORIGIN/../../../../../py/tensorflow'
  const flags = ['-O2', '-std=c++17', '-fPIC', '-shared', '-DNAPI_VERSION=8']
  await step(shop, 'g++', [...flags, ...includes, ...sources, '-o', join(output, 'tfjs_binding.node'), ...libraries, rpath])
  await writeFile(join(shop.dir, 'mute-stderr.cc'), MUTE_SOURCE)
  await step(shop, 'g++', [...flags, `-I${headers}`, 'mute-stderr.cc', '-o', MUTE_ADDON])
}

/** The CPU wheel without its Python and headers: 0.85 of its 1.3 GB stay. */
async function keepLibrariesOnly(py: string): Promise<void> {
  for (const entry of await readdir(py)) if (entry !== 'tensorflow') await rm(join(py, entry), { recursive: true })
  const tensorflow = join(py, 'tensorflow')
  for (const entry of await readdir(tensorflow)) {
    if (!entry.startsWith('libtensorflow_')) await rm(join(tensorflow, entry), { recursive: true })
  }
}

/** A product in a process of its own, so that a library that crashes does not take this one along. Answers with TensorFlow's version. */
async function smokeTest(shop: NativeShop): Promise<string> {
  const program = `
    const util = require('node:util')
    util.isNullOrUndefined = (value) => value === null || value === undefined
    util.isArray = Array.isArray
    const tf = require('${shop.packageName}')
    const product = tf.matMul(tf.ones([64, 64]), tf.ones([64, 64])).dataSync()
    if (!product.every((value) => value === 64)) throw new Error('64 x 64 ones multiplied wrongly')
    console.log('tensorflow ' + tf.backend().binding.TF_Version)`
  const output = await step(shop, process.execPath, ['-e', program])
  const version = /^tensorflow (\S+)$/m.exec(output)?.[1]
  if (!version) throw new RunError(`Cannot use the binding in ${shop.dir}: the trial run printed no version. Build it again with --force`)
  return version
}

const TOOLS = [
  { name: 'npm', command: ['npm', '--version'], from: 'comes with Node.js' },
  { name: 'python3', command: ['python3', '--version'], from: 'apt-get install python3, or python.org' },
  { name: 'pip for python3', command: ['python3', '-m', 'pip', '--version'], from: 'apt-get install python3-pip, or python3 -m ensurepip' },
  { name: 'g++', command: ['g++', '--version'], from: 'apt-get install g++, or dnf install gcc-c++' },
]

async function requireTools(signal: AbortSignal | undefined): Promise<void> {
  if (process.platform !== 'linux') {
    throw new UserError(
      `Cannot build the native engine on ${process.platform}: expected Linux. Use --engine wasm, or install @tensorflow/tfjs-node in your project`,
    )
  }
  const missing: string[] = []
  for (const { name, command, from } of TOOLS) {
    const { code } = await runCommand(command[0], command.slice(1), process.cwd(), signal)
    if (code !== 0) missing.push(`${name} (${from})`)
  }
  if (missing.length > 0) throw new UserError(`Cannot build the native engine: not found: ${missing.join('; ')}`)
}

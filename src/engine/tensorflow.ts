import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import util from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import { UserError } from '../util/errors.ts'
import { captureConsole } from './capture-console.ts'
import { EngineAbsent } from './engine-absent.ts'
import { packageFolders } from './find-package.ts'
import { withoutStderr } from './mute-stderr.ts'
import { installedFolders } from './native-folder.ts'
import { loadedPrecision, type Precision, preparePrecision } from './precision.ts'

export type TensorflowPackage = '@tensorflow/tfjs-node' | '@tensorflow/tfjs-node-gpu'

/** The part of tfjs-node's backend that says what it runs on. */
interface NodeBackend {
  binding: { TF_Version: string }
  isUsingGpuDevice: boolean
}

/** What TensorFlow is loaded with. */
export interface TensorflowSettings {
  readonly threads: number
  readonly precision?: Precision
  /** Memory that is not in use goes back to the system at once, at the price of time. */
  readonly givesBack?: boolean
}

export interface LoadedTensorflow {
  /** `2.21.0` */
  version: string
  usesGpu: boolean
}

/**
 * Makes TensorFlow the current backend through `name`, taken from the project of the program that runs, else from beside llmpress, else
 * from what `llmpress native install` built. The settings count only for the first load in a process: later calls find it
 * loaded. UserError when no copy can be loaded, with the reason of each.
 */
export async function loadTensorflow(name: TensorflowPackage, settings: TensorflowSettings): Promise<LoadedTensorflow> {
  const { precision = 'float32' } = settings
  if (tf.engine().findBackendFactory('tensorflow') === null) await requireFirst(name, settings)
  if (loadedPrecision() !== precision)
    throw new UserError(`TensorFlow is loaded for ${loadedPrecision()} products in this process, expected one process for each precision`)
  if (!(await captureConsole(() => tf.setBackend('tensorflow')))) throw new UserError('TensorFlow was loaded and could not be started')
  const backend = tf.backend() as unknown as NodeBackend
  return { version: backend.binding.TF_Version, usesGpu: backend.isUsingGpuDevice }
}

async function requireFirst(name: TensorflowPackage, settings: TensorflowSettings): Promise<void> {
  const { found, reasons } = findPackages(name)
  prepareProcess(name, settings)
  preparePrecision(settings.precision ?? 'float32')
  for (const folder of found) {
    try {
      await captureConsole(() => withoutStderr(join(folder, '..', '..', '..'), () => createRequire(join(folder, 'package.json'))(folder)))
      return
    } catch (error) {
      reasons.push(`${folder} does not load: ${firstLine(error)}`)
    }
  }
  throw reasons.length > 0 ? new UserError(reasons.join('; ')) : new EngineAbsent(`${name} is not installed`)
}

/** Folders of `name` that hold a built binding, best first; why the others do not count. */
function findPackages(name: TensorflowPackage): { found: string[]; reasons: string[] } {
  const folders = packageFolders(name, installedFolders(name))
  const found = folders.filter(hasBinding)
  const reasons = folders
    .filter((folder) => !hasBinding(folder))
    .map((folder) => `${folder} has no lib/napi-v*/tfjs_binding.node: its install script did not run or failed`)
  return { found, reasons }
}

/** Looked for by name, because requiring a package without its binding registers half a backend before it throws. */
function hasBinding(folder: string): boolean {
  const lib = join(folder, 'lib')
  return existsSync(lib) && readdirSync(lib).some((version) => existsSync(join(lib, version, 'tfjs_binding.node')))
}

/**
 * tfjs-node 4.22 calls util.isNullOrUndefined and util.isArray, which Node 22 warns about and Node 23 removed. TensorFlow reads its
 * environment when it loads. oneDNN stays on: faster here (batched products 2-3 x), and its plain products do not depend on the number of
 * threads while Eigen's do. Its own allocator keeps the most that was ever in use: 1.2 GB after two matrices of 7168 x 7168 were added, 0.4 GB
 * with the system's, which gives large blocks back; but perplexity of SmolLM2-135M takes 8 % longer with that. TF32 would cut float32 products on the GPU to 10 bits of mantissa.
 */
function prepareProcess(name: TensorflowPackage, { threads, givesBack = false }: TensorflowSettings): void {
  Object.assign(util, { isNullOrUndefined: (value: unknown) => value === null || value === undefined, isArray: Array.isArray })
  const count = String(threads)
  Object.assign(process.env, { TF_NUM_INTRAOP_THREADS: count, TF_NUM_INTEROP_THREADS: '1', OMP_NUM_THREADS: count })
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2'
  process.env.TF_ENABLE_ONEDNN_OPTS ??= '1'
  process.env.TF_ONEDNN_USE_SYSTEM_ALLOCATOR ??= givesBack ? '1' : '0'
  if (name === '@tensorflow/tfjs-node-gpu') Object.assign(process.env, { NVIDIA_TF32_OVERRIDE: '0', TF_DETERMINISTIC_OPS: '1' })
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]
}

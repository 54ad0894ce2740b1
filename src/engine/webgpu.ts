import { createRequire } from 'node:module'
import type { KernelBackend } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import { UserError } from '../util/errors.ts'
import { captureConsole } from './capture-console.ts'
import { EngineAbsent } from './engine-absent.ts'
import { packageFolders } from './find-package.ts'
import { webgpuFolder } from './native-folder.ts'
import { type WatchedBackend, watchBackend } from './webgpu-backend.ts'
import { adapterName, type OpenedDevice, openDevice } from './webgpu-device.ts'

/** The packages of the webgpu engine: Dawn for Node, and tfjs's backend on it. */
const WEBGPU_PACKAGES = ['webgpu', '@tensorflow/tfjs-backend-webgpu'] as const

interface BackendModule {
  WebGPUBackend: new (device: object, info: object) => KernelBackend
}

/**
 * tfjs's product that sums every element in one thread, in one order. Of the four that it chooses from by shape, one adds parts with
 * atomics, whose order, and so whose last bits, change from call to call.
 */
const PACKED_PRODUCT = 3

/**
 * Makes WebGPU the current backend, on the packages taken from where `packageFolders` looks, or from what `llmpress native install --webgpu`
 * fetched. A process keeps its first device. `software`: an adapter that computes on the CPU is good enough. Gives the adapter's name.
 * Errors: UserError when a package is missing or does not load, or there is no adapter.
 */
export async function loadWebgpu(software: boolean): Promise<string> {
  const known = tf.engine().findBackend('webgpu') as WatchedBackend | null
  const backend = known ?? (await startBackend(software))
  if (backend.software && !software) throw new EngineAbsent(`the only adapter computes on the CPU (${backend.adapter}), expected a GPU`)
  if (!known) tf.registerBackend('webgpu', () => backend)
  if (!(await captureConsole(() => tf.setBackend('webgpu')))) throw new UserError('WebGPU was loaded and could not be started')
  tf.env().set('WEBGPU_MATMUL_PROGRAM_TYPE', PACKED_PRODUCT)
  return backend.adapter
}

async function startBackend(software: boolean): Promise<WatchedBackend> {
  const folders = WEBGPU_PACKAGES.map((name) => packageFolders(name, [webgpuFolder()])[0])
  const missing = WEBGPU_PACKAGES.filter((_, i) => folders[i] === undefined)
  if (missing.length > 0) {
    throw new EngineAbsent(
      `${missing.join(' and ')} ${missing.length > 1 ? 'are' : 'is'} not installed: \`llmpress native install --webgpu\`, or \`npm install ${WEBGPU_PACKAGES.join(' ')}\` in your project`,
    )
  }
  const [dawn, tfjs] = folders
  const opened = await loading(dawn, () => openDevice(dawn, software))
  const { WebGPUBackend } = await loading(tfjs, () => captureConsole((): BackendModule => createRequire(import.meta.url)(tfjs)))
  const backend = withNavigator(opened, () => new WebGPUBackend(opened.device, opened.info))
  return watchBackend(backend, opened, { adapter: adapterName(opened.info), software: opened.info.isFallbackAdapter })
}

/** An error that is not ours, as a reason of one line. */
async function loading<T>(folder: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(`${folder} does not load: ${(error instanceof Error ? error.message : String(error)).split('\n')[0]}`)
  }
}

/** tfjs looks for `navigator.gpu` when its backend is made, and only then; what stays there would be seen by the host's other code. */
function withNavigator<T>({ gpu }: OpenedDevice, work: () => T): T {
  const holder = globalThis as { navigator?: object }
  const own = holder.navigator
  // Node 20 has no navigator, later ones have one without a GPU.
  if (!own) Object.defineProperty(holder, 'navigator', { value: {}, configurable: true })
  const navigator = holder.navigator as { gpu?: object }
  const before = Object.getOwnPropertyDescriptor(navigator, 'gpu')
  Object.defineProperty(navigator, 'gpu', { value: gpu, configurable: true })
  try {
    return work()
  } finally {
    delete navigator.gpu
    if (before) Object.defineProperty(navigator, 'gpu', before)
    if (!own) delete holder.navigator
  }
}

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDirectory } from './cache-dir.ts'

/** The npm package whose binding is built, and the TensorFlow it is built against. */
export const TFJS_NODE_VERSION = '4.22.0'
export const TENSORFLOW_VERSION = '2.21.0'
/** The npm package of Dawn for Node that the webgpu engine was tried with. */
export const WEBGPU_VERSION = '0.6.2'

/** The folder of `llmpress native install` for this machine in `cache`: another processor, GPU or TensorFlow has another one. */
export function nativeFolder(gpu: boolean, cache = cacheDirectory()): string {
  return join(cache, `native-${process.platform}-${process.arch}-${gpu ? 'gpu' : 'cpu'}-tf${TENSORFLOW_VERSION}`)
}

/** Where `llmpress native install --webgpu` puts the packages of the webgpu engine for this machine. */
export function webgpuFolder(cache = cacheDirectory()): string {
  return join(cache, `webgpu-${process.platform}-${process.arch}-${WEBGPU_VERSION}`)
}

/** The installed folders that provide `name`: at most one, since each holds either the CPU or the GPU package. */
export function installedFolders(name: string): string[] {
  const folder = nativeFolder(name.endsWith('-gpu'))
  return existsSync(join(folder, 'node_modules', name)) ? [folder] : []
}

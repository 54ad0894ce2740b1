import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { EngineAbsent } from './engine-absent.ts'

/** What Dawn says of a GPU. */
interface AdapterInfo {
  readonly vendor: string
  readonly architecture: string
  readonly device: string
  readonly description: string
  readonly isFallbackAdapter: boolean
}

/** The part of WebGPU's GPUAdapter that is used here. */
interface Adapter {
  readonly info: AdapterInfo
  readonly limits: Readonly<Record<string, number>>
  requestDevice(descriptor: { requiredLimits: Record<string, number> }): Promise<Device>
}

/** An error that a device tells of beside the call that caused it. */
interface DeviceError {
  readonly error: { readonly message: string }
  preventDefault(): void
}

/** The part of WebGPU's GPUDevice that is used here. */
export interface Device {
  addEventListener(type: 'uncapturederror', listener: (event: DeviceError) => void): void
  destroy(): void
}

interface Gpu {
  requestAdapter(options: { powerPreference: 'high-performance' }): Promise<Adapter | null>
}

interface DawnModule {
  create(flags: string[]): Gpu
  /** GPUBufferUsage and the like, which browsers have as globals. */
  readonly globals: object
}

/** A GPU that is ready to compute. */
export interface OpenedDevice {
  /** Dawn's instance: it lives as long as something refers to it, and so does the device. */
  readonly gpu: object
  readonly device: Device
  readonly info: AdapterInfo
}

/** What tfjs's programs need the most of; WebGPU gives its smallest guarantees (buffers of 128 MiB) unless asked. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxComputeWorkgroupSizeX',
  'maxComputeInvocationsPerWorkgroup',
]

/**
 * Opens the fastest adapter that Dawn (the npm package `webgpu`, in `folder`) finds, with all that its limits allow. Errors: UserError where
 * there is none, or (without `software`) none but one that computes on the CPU; what the package throws where it does not load.
 */
export async function openDevice(folder: string, software: boolean): Promise<OpenedDevice> {
  const entry = createRequire(join(folder, 'package.json')).resolve(folder)
  const { create, globals }: DawnModule = await import(pathToFileURL(entry).href)
  Object.assign(globalThis, globals)
  const gpu = create([])
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter) throw new EngineAbsent('no GPU was found, expected one with a driver for Vulkan, Metal or Direct3D 12')
  const { info, limits } = adapter
  if (info.isFallbackAdapter && !software)
    throw new EngineAbsent(`the only adapter computes on the CPU (${adapterName(info)}), expected a GPU`)
  const device = await adapter.requestDevice({ requiredLimits: Object.fromEntries(LIMITS.map((name) => [name, limits[name]])) })
  return { gpu, device, info }
}

/** For people: `NVIDIA H100`, `SwiftShader driver 5.0.0 (software)`. */
export function adapterName({ vendor, architecture, device, description, isFallbackAdapter }: AdapterInfo): string {
  // Software adapters and Metal have their names in the description, others their driver's version.
  const name = (isFallbackAdapter ? description || device : device || description) || [vendor, architecture].join(' ').trim() || 'unnamed'
  return isFallbackAdapter ? `${name} (software)` : name
}

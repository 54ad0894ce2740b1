import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { layOut } from '../../src/checkpoint/safetensors.ts'
import type { TensorData } from '../../src/checkpoint/tensor.ts'

/** An empty folder that is removed after the test. */
export async function temporaryFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'llmpress-test-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** A safetensors file in memory. */
export function safetensorsFile(tensors: readonly TensorData[]): Uint8Array {
  const { header, entries, fileSize } = layOut(tensors)
  const file = new Uint8Array(fileSize)
  file.set(header)
  for (const { name, begin } of entries) file.set(tensors.find((tensor) => tensor.name === name)?.bytes ?? [], begin)
  return file
}

/** A U8 tensor of the given values. */
export function bytesTensor(name: string, ...values: number[]): TensorData {
  return { name, dtype: 'U8', shape: [values.length], bytes: Uint8Array.from(values) }
}

/** A temporary folder with the given files; objects are written as JSON. */
export async function folderOf(files: Readonly<Record<string, Uint8Array | string | object>>): Promise<string> {
  const dir = await temporaryFolder()
  await mkdir(dir, { recursive: true })
  for (const [name, content] of Object.entries(files)) {
    const isRaw = typeof content === 'string' || content instanceof Uint8Array
    await writeFile(join(dir, name), isRaw ? content : JSON.stringify(content))
  }
  return dir
}

import { cp, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A Llama of two layers, 128 wide, with 0.3 million weights in BF16. */
export const TINY = fileURLToPath(new URL('../oracles/tiny', import.meta.url))

export const WEIGHTS = 'model.safetensors'

interface Entry {
  dtype: string
  shape: number[]
  data_offsets: [number, number]
}

/** A copy of the tiny model, or of another, to damage. */
export async function copyModel(to: string, from = TINY): Promise<string> {
  await cp(from, to, { recursive: true })
  return to
}

/** Rewrites the header of a model's weights; `edit` changes it in place. */
export async function editHeader(model: string, edit: (header: Record<string, Entry>) => void): Promise<void> {
  const file = join(model, WEIGHTS)
  const bytes = await readFile(file)
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, Entry>
  edit(header)
  const text = Buffer.from(JSON.stringify(header))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(text.length))
  await writeFile(file, Buffer.concat([size, text, bytes.subarray(8 + length)]))
}

/** Changes a model's weight file as a whole. */
export async function editWeights(model: string, edit: (bytes: Buffer<ArrayBuffer>) => Uint8Array): Promise<void> {
  const file = join(model, WEIGHTS)
  await writeFile(file, edit(await readFile(file)))
}

/** Where a tensor's bytes begin in a model's weight file. */
export function tensorStart(bytes: Buffer, name: string): number {
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, Entry>
  return 8 + length + header[name].data_offsets[0]
}

/** Makes a model one of several files, all of them `file` but for what `edit` changes in its index. */
export async function shardModel(model: string, edit: (weightMap: Record<string, string>) => void): Promise<void> {
  const bytes = await readFile(join(model, WEIGHTS))
  const length = Number(bytes.readBigUInt64LE(0))
  const names = Object.keys(JSON.parse(bytes.toString('utf8', 8, 8 + length)) as object).filter((name) => name !== '__metadata__')
  const shard = 'model-00001-of-00001.safetensors'
  const weightMap = Object.fromEntries(names.map((name) => [name, shard]))
  edit(weightMap)
  await rename(join(model, WEIGHTS), join(model, shard))
  await writeFile(join(model, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }))
}

/** A folder with a file in it. */
export async function folderWith(folder: string, name: string, text: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, name), text)
  return folder
}

import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { requireUsableOutput } from '../../src/checkpoint/output-folder.ts'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import { planShards } from '../../src/checkpoint/shards.ts'
import { CheckpointWriter } from '../../src/checkpoint/writer.ts'
import { RunError, UserError } from '../../src/util/errors.ts'
import { bytesTensor, folderOf, safetensorsFile, temporaryFolder } from './folders.ts'

const tensors = [bytesTensor('a', 1, 2, 3), bytesTensor('b', 4, 5), bytesTensor('c', 6)]
const twoShards = planShards(tensors, 5)

async function list(dir: string): Promise<string[]> {
  return (await readdir(dir)).sort()
}

describe('requireUsableOutput', () => {
  it('refuses to overwrite a folder that holds no checkpoint', async () => {
    const output = await folderOf({ 'thesis.pdf': '', 'best.safetensors': '' })
    const refusal = requireUsableOutput(output, true)
    await expect(refusal).rejects.toThrow(UserError)
    await expect(refusal).rejects.toThrow(/Cannot overwrite .*no checkpoint \(best.safetensors and 1 more\), expected one with config.json/)
    await expect(CheckpointWriter.open(output, twoShards, { overwrite: true })).rejects.toThrow('no checkpoint')
    expect(await list(output)).toEqual(['best.safetensors', 'thesis.pdf'])
  })

  it.each(['config.json', 'llmpress-report.json', '.llmpress'])('lets a folder with %s be overwritten', async (name) => {
    expect(await requireUsableOutput(await folderOf({ [name]: '', 'notes.txt': '' }), true)).toBe('there')
  })

  it('needs nothing to overwrite', async () => {
    const output = await temporaryFolder()
    expect(await requireUsableOutput(output, true)).toBe('there')
    expect(await requireUsableOutput(join(output, 'new'), true)).toBe('new')
  })
})

describe('CheckpointWriter', () => {
  it('writes a single file that equals the one laid out in memory', async () => {
    const output = join(await temporaryFolder(), 'new', 'out')
    const writer = await CheckpointWriter.open(output, planShards(tensors))
    await Promise.all([...tensors].reverse().map((tensor) => writer.write(tensor)))
    await writer.writeFile('config.json', '{}')
    await writer.finish()
    expect(await list(output)).toEqual(['config.json', 'model.safetensors'])
    expect(new Uint8Array(await readFile(join(output, 'model.safetensors')))).toEqual(safetensorsFile(tensors))
  })

  it('has written the last chunk of a tensor before it asks for more: its memory is then used again', async () => {
    const tensor = { name: 'x', dtype: 'U8' as const, shape: [16 << 20], bytes: new Uint8Array(16 << 20).fill(7) }
    const output = await temporaryFolder()
    const writer = await CheckpointWriter.open(output, planShards([tensor]))
    async function* chunks() {
      const memory = tensor.bytes.slice()
      yield memory
      memory.fill(0)
    }
    await writer.writeChunks(tensor, chunks())
    await writer.finish()
    const written = await readFile(join(output, 'model.safetensors'))
    expect(Buffer.compare(written, safetensorsFile([tensor]))).toBe(0)
  })

  it('writes shards with an index that the reader accepts, a large tensor from chunks', async () => {
    const output = await temporaryFolder()
    const writer = await CheckpointWriter.open(output, twoShards)
    await writer.write(tensors[2])
    async function* chunks() {
      yield tensors[0].bytes.subarray(0, 1)
      yield tensors[0].bytes.subarray(1)
    }
    await writer.writeChunks(tensors[0], chunks())
    await writer.write(tensors[1])
    await writer.finish()
    const reader = await openCheckpoint(output)
    for (const { name, bytes } of tensors) expect(await reader.read(name)).toEqual(bytes)
    expect(reader.info('c').file).toBe('model-00002-of-00002.safetensors')
    await reader.close()
  })

  it('shows nothing in the output before finish', async () => {
    const output = await temporaryFolder()
    const writer = await CheckpointWriter.open(output, twoShards)
    for (const tensor of tensors) await writer.write(tensor)
    await writer.writeFile('config.json', '{}')
    expect(await list(output)).toEqual(['.llmpress'])
    expect(await list(join(output, '.llmpress'))).toEqual([
      'config.json',
      'lock',
      ...twoShards.map(({ file }) => file),
      'model.safetensors.index.json',
    ])
    await writer.abort()
  })

  it('tells the sizes that its finished files have on disk', async () => {
    const output = await temporaryFolder()
    const writer = await CheckpointWriter.open(output, twoShards)
    const [first, second] = twoShards.map(({ file }) => file)
    const names = async () => (await writer.files()).map(({ name }) => name)
    await writer.write(tensors[0])
    expect(await names()).toEqual(['model.safetensors.index.json'])
    await writer.write(tensors[1])
    expect(await names()).toEqual([first, 'model.safetensors.index.json'])
    await writer.write(tensors[2])
    await writer.writeFile('notes.txt', 'äöü')
    await writer.writeFile('config.json', Uint8Array.of(123, 125))
    expect(await names()).toEqual([first, second, 'model.safetensors.index.json', 'notes.txt', 'config.json'])
    await writer.finish()
    expect(await names()).toHaveLength((await list(output)).length)
    for (const { name, bytes, sha256 } of await writer.files()) {
      expect(bytes, name).toBe((await stat(join(output, name))).size)
      expect(sha256, name).toBe(
        createHash('sha256')
          .update(await readFile(join(output, name)))
          .digest('hex'),
      )
    }
  })

  it('abort leaves no trace, of a folder it made not even that', async () => {
    const parent = await temporaryFolder()
    const writer = await CheckpointWriter.open(join(parent, 'out'), twoShards)
    await writer.write(tensors[0])
    await writer.abort()
    await writer.abort()
    expect(await list(parent)).toEqual([])
    await expect(writer.write(tensors[1])).rejects.toThrow('already aborted')
  })

  it('says that its folder was removed while it was at work, in whole or but for its lock', async () => {
    const output = join(await temporaryFolder(), 'out')
    const writer = await CheckpointWriter.open(output, twoShards)
    await writer.write(tensors[0])
    await rm(join(output, '.llmpress', 'lock'))
    await expect(writer.requireHeld()).rejects.toThrow(/^Cannot go on writing .*out: its lock was removed meanwhile/)
    await rm(output, { recursive: true })
    await expect(writer.requireHeld()).rejects.toThrow(/^Cannot go on writing .*out: the folder was removed meanwhile/)
    const sync = writer.sync()
    await expect(sync).rejects.toThrow(RunError)
    await expect(sync).rejects.toThrow(/^Cannot write .*out: its folder is not there; it was removed meanwhile/)
    await writer.abort()
  })

  it('starts over what a killed run left', async () => {
    const output = await temporaryFolder()
    const killed = await CheckpointWriter.open(output, twoShards)
    await killed.write(tensors[0])
    const lock = join(output, '.llmpress', 'lock')
    // Of a process that began in another life of this process number.
    await writeFile(lock, JSON.stringify({ ...JSON.parse(await readFile(lock, 'utf8')), run: 'killed', started: '1' }))
    const writer = await CheckpointWriter.open(output, planShards(tensors))
    for (const tensor of tensors) await writer.write(tensor)
    await writer.finish()
    expect(await list(output)).toEqual(['model.safetensors'])
    await killed.abort()
  })

  it('refuses a folder that holds something, and says how to replace it', async () => {
    const output = await folderOf({ 'notes.txt': '' })
    await expect(CheckpointWriter.open(output, twoShards)).rejects.toThrow(/not empty \(notes.txt\).*--overwrite/)
    await expect(CheckpointWriter.open(output, twoShards)).rejects.toThrow(UserError)
    await expect(CheckpointWriter.open(join(output, 'notes.txt'), twoShards)).rejects.toThrow('expected folders')
    expect(await list(output)).toEqual(['notes.txt'])
  })

  it('with overwrite keeps the old checkpoint until finish, then replaces it and keeps other files', async () => {
    const old = { 'config.json': 'old', 'model.safetensors': 'old', 'notes.txt': 'mine' }
    const output = await folderOf(old)
    const aborted = await CheckpointWriter.open(output, twoShards, { overwrite: true })
    await aborted.write(tensors[0])
    await aborted.abort()
    expect(await list(output)).toEqual(Object.keys(old))

    const writer = await CheckpointWriter.open(output, twoShards, { overwrite: true })
    for (const tensor of tensors) await writer.write(tensor)
    await writer.writeFile('config.json', 'new')
    expect(await readFile(join(output, 'config.json'), 'utf8')).toBe('old')
    await writer.finish()
    expect(await list(output)).toEqual(['config.json', ...twoShards.map(({ file }) => file), 'model.safetensors.index.json', 'notes.txt'])
    expect(await readFile(join(output, 'config.json'), 'utf8')).toBe('new')
  })

  it('overwrites the weights of the old checkpoint only', async () => {
    const output = await folderOf({
      'config.json': 'old',
      'model.safetensors.index.json': { weight_map: { a: 'pytorch_model-1.safetensors', b: '../x.safetensors', c: 'notes.txt', d: 1 } },
      'pytorch_model-1.safetensors': 'old',
      'model-00001-of-00007.safetensors': 'old',
      'model.safetensors': 'old',
      'adapter_model.safetensors': 'mine',
      'model-best.safetensors': 'mine',
      'notes.txt': 'mine',
    })
    const writer = await CheckpointWriter.open(output, planShards([]), { overwrite: true })
    await writer.writeFile('config.json', 'new')
    await writer.finish()
    expect(await list(output)).toEqual([
      'adapter_model.safetensors',
      'config.json',
      'model-best.safetensors',
      'model.safetensors',
      'notes.txt',
    ])
    expect(new Uint8Array(await readFile(join(output, 'model.safetensors')))).toEqual(safetensorsFile([]))
  })

  it('overwrites a checkpoint whose index is damaged', async () => {
    const output = await folderOf({ 'config.json': '{}', 'model.safetensors.index.json': '{' })
    const writer = await CheckpointWriter.open(output, planShards([]), { overwrite: true })
    await writer.finish()
    expect(await list(output)).toEqual(['model.safetensors'])
  })

  it('keeps the new files when they cannot be moved after the old ones went, and says where they lie', async () => {
    const output = await folderOf({ 'config.json': 'old', 'model.safetensors': 'old' })
    await mkdir(join(output, 'README.md', 'in-the-way'), { recursive: true })
    const writer = await CheckpointWriter.open(output, twoShards, { overwrite: true })
    for (const tensor of tensors) await writer.write(tensor)
    await writer.writeFile('README.md', 'new')
    await writer.writeFile('config.json', 'new')
    const failure = writer.finish()
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(join(output, '.llmpress'))
    await writer.abort()
    const left = [...(await list(output)), ...(await list(join(output, '.llmpress')))]
    for (const { name } of await writer.files()) expect(left).toContain(name)
    expect(await list(join(output, '.llmpress'))).toEqual(['README.md', 'config.json', 'publishing.json'])
    await expect(writer.writeFile('more.txt', '')).rejects.toThrow('being moved')
  })

  it('does not finish without every tensor, and names those that are missing', async () => {
    const output = await temporaryFolder()
    const writer = await CheckpointWriter.open(output, twoShards)
    await writer.write(tensors[1])
    await expect(writer.finish()).rejects.toThrow('2 planned tensors were not written: a, c')
    expect(await list(output)).toEqual(['.llmpress'])
    await writer.abort()
  })

  it('refuses tensors that are not as planned', async () => {
    const writer = await CheckpointWriter.open(await temporaryFolder(), twoShards)
    await writer.write(tensors[0])
    await expect(writer.write(tensors[0])).rejects.toThrow('written before')
    await expect(writer.write(bytesTensor('x', 1))).rejects.toThrow('no tensor of that name')
    await expect(writer.write({ ...tensors[1], dtype: 'I8' })).rejects.toThrow('found I8 [2], expected U8 [2]')
    await expect(writer.write({ ...tensors[1], bytes: Uint8Array.of(1) })).rejects.toThrow('found 1 bytes, expected 2')
    await expect(writer.write({ ...tensors[2], bytes: Uint8Array.of(1, 2) })).rejects.toThrow('found more than 1 bytes')
    await expect(writer.finish()).rejects.toThrow(RunError)
    await writer.abort()
  })

  it('refuses file names with folders, and those of its own files', async () => {
    const writer = await CheckpointWriter.open(await temporaryFolder(), twoShards)
    for (const name of ['../x', 'a/b', 'a\\b', '..', '', '.llmpress', twoShards[0].file, 'model.safetensors.index.json']) {
      await expect(writer.writeFile(name, '')).rejects.toThrow('without folders')
    }
    await writer.abort()
  })

  it('finishes a checkpoint without tensors', async () => {
    const output = await temporaryFolder()
    const writer = await CheckpointWriter.open(output, planShards([]))
    await writer.finish()
    const reader = await openCheckpoint(output)
    expect(reader.tensors.size).toBe(0)
    await reader.close()
  })
})

import { existsSync } from 'node:fs'
import { lstat, mkdir, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { modelFolder } from '../../src/hub/model-folder.ts'
import type { DownloadProgress, HubOptions } from '../../src/hub/settings.ts'
import { CheckpointError, RunError, UserError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { commitOf, etagOf, type FakeHub, startFakeHub } from './fake-hub.ts'

const NAME = 'org/tiny'
const PATIENCE = { attempts: 3, firstWait: 5 }

let hub: FakeHub
let home: string
let files: Record<string, Buffer>

const folderOf = () => join(home, 'hub', 'models--org--tiny')
const get = (model = NAME, options: HubOptions = {}) => modelFolder(model, options, PATIENCE)
/** Requests for the content of the weights, as the server sees them. */
const contentRequests = () => hub.seen.filter(({ path, range }) => path.startsWith('/cdn/') && range !== 'bytes=0-0')

beforeEach(async () => {
  hub = await startFakeHub()
  home = await temporaryFolder()
  files = {
    'config.json': Buffer.from('{"model_type": "llama"}'),
    'model.safetensors': Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31) % 251)),
    'tokenizer.json': Buffer.alloc(2000, 'x'),
    'README.md': Buffer.from('# Tiny'),
    'onnx/model.onnx': Buffer.alloc(3000, 'o'),
    'pytorch_model.bin': Buffer.alloc(3000, 'p'),
    'modeling_tiny.py': Buffer.from('print(1)'),
  }
  hub.repos.set(`models/${NAME}`, files)
  vi.stubEnv('HF_ENDPOINT', hub.url)
  vi.stubEnv('HF_HOME', home)
  for (const name of ['HF_TOKEN', 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_HUB_OFFLINE', 'HF_TOKEN_PATH']) vi.stubEnv(name, '')
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await hub.close()
})

describe('modelFolder()', () => {
  test('gives a folder back as it is, and what is neither folder nor name', async () => {
    expect(await get('test/oracles/tiny')).toMatchObject({ path: 'test/oracles/tiny', name: 'tiny', commit: null })
    for (const path of ['nowhere', './org/tiny', '/org/tiny', 'a/b/c', '../a']) expect((await get(path)).path).toBe(path)
    expect(hub.seen).toEqual([])
  })

  test('prefers a folder to a model of the same name', async () => {
    const cwd = process.cwd()
    process.chdir(home)
    try {
      await mkdir(NAME, { recursive: true })
      expect(await get()).toMatchObject({ path: NAME, commit: null })
    } finally {
      process.chdir(cwd)
    }
  })

  test('downloads what a compression needs, and nothing else', async () => {
    const { path, name, id, commit } = await get()
    expect({ name, id, commit }).toEqual({ name: 'tiny', id: NAME, commit: commitOf(files) })
    expect((await readdir(path)).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json'])
    for (const file of await readdir(path)) expect(files[file].equals(await readFile(join(path, file)))).toBe(true)
  })

  test("lays the cache out as Python's huggingface_hub does", async () => {
    await get()
    const commit = commitOf(files)
    expect(await readFile(join(folderOf(), 'refs/main'), 'utf8')).toBe(commit)
    const kept = ['config.json', 'model.safetensors', 'tokenizer.json']
    expect((await readdir(join(folderOf(), 'blobs'))).sort()).toEqual(kept.map((file) => etagOf(files[file])).sort())
    for (const file of kept) {
      const pointer = join(folderOf(), 'snapshots', commit, file)
      expect((await lstat(pointer)).isSymbolicLink()).toBe(true)
      expect(await readlink(pointer)).toBe(`../../blobs/${etagOf(files[file])}`)
    }
    // No locks and partial files are left; none of ours has a name of theirs.
    expect(await readdir(join(home, 'hub/.locks/models--org--tiny'))).toEqual([])
  })

  test('takes code along where config.json refers to it', async () => {
    files['config.json'] = Buffer.from('{"auto_map": {"AutoModel": "modeling_tiny.Tiny"}}')
    expect(await readdir((await get()).path)).toContain('modeling_tiny.py')
  })

  test('downloads the shards that the index names', async () => {
    delete files['model.safetensors']
    files['model.safetensors.index.json'] = Buffer.from(
      JSON.stringify({ weight_map: { a: 'model-2.safetensors', b: 'model-1.safetensors' } }),
    )
    for (const shard of ['model-1', 'model-2', 'other']) files[`${shard}.safetensors`] = Buffer.alloc(1500, shard)
    expect((await readdir((await get()).path)).filter((file) => file.startsWith('m')).sort()).toEqual([
      'model-1.safetensors',
      'model-2.safetensors',
      'model.safetensors.index.json',
    ])
  })

  test('downloads nothing twice', async () => {
    await get()
    hub.seen.length = 0
    await get()
    expect(hub.seen.every(({ path }) => path.startsWith('/api/'))).toBe(true)
  })

  test('takes a blob that another commit has already', async () => {
    await get()
    files['config.json'] = Buffer.from('{"model_type": "llama", "vocab_size": 9}')
    hub.seen.length = 0
    const { path, commit } = await get()
    expect(commit).toBe(commitOf(files))
    expect(contentRequests()).toEqual([])
    expect(files['model.safetensors'].equals(await readFile(join(path, 'model.safetensors')))).toBe(true)
    expect(await readFile(join(folderOf(), 'refs/main'), 'utf8')).toBe(commit)
  })

  test('takes a commit as a revision, and asks no server for the files that are there', async () => {
    await get(`${NAME}@${commitOf(files)}`)
    expect(existsSync(join(folderOf(), 'refs'))).toBe(false)
    expect((await get(`${NAME}@${commitOf(files)}`, { localFilesOnly: true })).commit).toBe(commitOf(files))
  })

  test('sends the token to the hub, and says it in no message', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_secret')
    await get()
    expect(new Set(hub.seen.filter(({ path }) => path.startsWith('/api/')).map(({ authorization }) => authorization))).toEqual(
      new Set(['Bearer hf_secret']),
    )
    const error = await get('org/private').catch((thrown: Error) => thrown)
    expect(String((error as Error).message)).toContain('HF_TOKEN has no right to it')
    expect(String((error as Error).message)).not.toContain('hf_secret')
  })

  test('finds the token that a login left', async () => {
    await writeFile(join(home, 'token'), 'hf_saved\n')
    await get()
    expect(hub.seen[0].authorization).toBe('Bearer hf_saved')
  })

  test('tells how far it is', async () => {
    const seen: DownloadProgress[] = []
    await get(NAME, { onDownload: (progress) => seen.push({ ...progress }) })
    const weights = seen.filter(({ file }) => file === `${NAME}: model.safetensors`)
    expect(weights.at(-1)).toEqual({ file: `${NAME}: model.safetensors`, received: 300_000, total: 300_000 })
  })
})

describe('modelFolder() without the hub', () => {
  test('takes what is in the cache when only local files are allowed', async () => {
    const { path } = await get()
    hub.seen.length = 0
    expect(await get(NAME, { localFilesOnly: true })).toMatchObject({ path, warnings: [] })
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    expect((await get()).path).toBe(path)
    expect(hub.seen).toEqual([])
  })

  test('refuses what is not in the cache, whole', async () => {
    await expect(get(NAME, { localFilesOnly: true })).rejects.toThrow(/Cannot find org\/tiny@main in the cache .*only local files/)
    // Below a folder that is here a path was probably meant.
    await expect(get('examples/modles', { localFilesOnly: true })).rejects.toThrow(
      /Cannot find examples\/modles@main .* There is no folder examples\/modles here \(did you mean "examples\/models"\?\)\.$/,
    )
    await expect(get('package.json/x', { localFilesOnly: true })).rejects.toThrow(/ There is no folder package\.json\/x here\.$/)
    const { path } = await get()
    await rm(join(path, 'model.safetensors'))
    await expect(get(NAME, { localFilesOnly: true })).rejects.toThrow(/found only pickles|no weights/)
  })

  test('falls back on the cache when the hub cannot be reached, and says so', async () => {
    const { path } = await get()
    await hub.close()
    const again = await get()
    expect(again.path).toBe(path)
    expect(again.warnings).toEqual([`${hub.url} cannot be reached: org/tiny@main is taken as it is in the cache`])
  })

  test('says that there is no connection where the cache has nothing', async () => {
    await hub.close()
    const failure = get()
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(/it cannot be reached \(ECONNREFUSED\), expected a connection, or the files in the cache/)
  })
})

describe('modelFolder() of repositories that cannot be used', () => {
  test('says what the name says where the weights are not safetensors', async () => {
    hub.repos.set('models/org/Tiny-GGUF', { 'config.json': Buffer.from('{"model_type": "llama"}'), 'tiny.Q4_0.gguf': Buffer.from('GGUF') })
    await expect(get('org/Tiny-GGUF')).rejects.toThrow(
      /Cannot use org\/Tiny-GGUF@main: found only tiny\.Q4_0\.gguf, expected .*; its name says GGUF \(files of llama\.cpp, .*take the safetensors model/,
    )
    hub.repos.set('models/org/Tiny-AWQ', { 'awq.pt': Buffer.from('x') })
    await expect(get('org/Tiny-AWQ')).rejects.toThrow(/found no config\.json, .*; its name says AWQ\.$/)
  })

  test('refuses pickles, and says why', async () => {
    delete files['model.safetensors']
    const failure = get()
    await expect(failure).rejects.toThrow(CheckpointError)
    await expect(failure).rejects.toThrow(
      /Cannot use org\/tiny@main: found only pickles \(pytorch_model\.bin\), which can run code .*expected model\.safetensors/,
    )
    expect(contentRequests()).toEqual([])
  })

  test.each([
    ['org/none', /Cannot download org\/none@main .*no such repository, or it is private: Repository not found \(no HF_TOKEN is set\)/],
    ['org/tiny@v9', /Cannot download org\/tiny@v9 .*no such repository, revision or file/],
    ['org/tiny@../../x', /the revision is "\.\.\/\.\.\/x"/],
  ])('refuses %s', async (name, message) => {
    const failure = get(name)
    await expect(failure).rejects.toThrow(UserError)
    await expect(failure).rejects.toThrow(message)
  })

  test('refuses a token that is none', async () => {
    vi.stubEnv('HF_TOKEN', 'secret')
    const error = (await get().catch((thrown: unknown) => thrown)) as Error
    expect(error).toBeInstanceOf(UserError)
    expect(error.message).toBe('Cannot use HF_TOKEN: found another text, expected a token of the hub, which starts with hf_.')
  })

  test('refuses names that lead out of the cache', async () => {
    files['tokenizer_config.json'] = Buffer.from('{}')
    files['model.safetensors.index.json'] = Buffer.from(JSON.stringify({ weight_map: { a: '../../../x.safetensors' } }))
    files['../../../x.safetensors'] = Buffer.alloc(1500, 'x')
    delete files['model.safetensors']
    await expect(get()).rejects.toThrow(/it is called "\.\.\/\.\.\/\.\.\/x\.safetensors", expected a path inside the repository/)
  })
})

describe('modelFolder() when the connection fails', () => {
  const weights = (seen: { path: string; range: string | undefined }) => seen.path.startsWith('/cdn/') && seen.range !== 'bytes=0-0'
  const rightBytes = async () =>
    expect(files['model.safetensors'].equals(await readFile(join((await get()).path, 'model.safetensors')))).toBe(true)

  test('asks again where the connection is reset before there is an answer', async () => {
    let resets = 0
    const perRequest = new Map<string, number>()
    hub.fault = ({ path }) => {
      const before = perRequest.get(path) ?? 0
      perRequest.set(path, before + 1)
      if (before >= 2) return undefined
      resets++
      return { reset: true }
    }
    await rightBytes()
    expect(resets).toBeGreaterThanOrEqual(8)
  })

  test('says that a file broke off where the connection is reset each time', async () => {
    hub.fault = ({ path }) => (path.includes('/resolve/') && path.endsWith('/model.safetensors') ? { reset: true } : undefined)
    const failure = get()
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(/model\.safetensors broke off again and again \((ECONNRESET|UND_ERR_SOCKET)\)/)
  })

  test('waits for a hub that is gone for a while in the middle of a download', async () => {
    const port = Number(new URL(hub.url).port)
    let asked = 0
    hub.fault = ({ path }) => {
      if (!path.endsWith('/tokenizer.json') || asked++ > 0) return undefined
      // Closed before the answer, and open again within the patience.
      void hub.close().then(async () => {
        const again = await startFakeHub(port)
        for (const [name, own] of hub.repos) again.repos.set(name, own)
        hub = again
      })
      return { reset: true }
    }
    const { path } = await modelFolder(NAME, {}, { attempts: 6, firstWait: 50 })
    expect(files['tokenizer.json'].equals(await readFile(join(path, 'tokenizer.json')))).toBe(true)
  })

  test('goes on where it broke off in the middle of a file', async () => {
    let drops = 0
    hub.fault = (seen) => (weights(seen) && drops++ < 4 ? { dropAfter: 65_536 } : undefined)
    await rightBytes()
    const starts = contentRequests().map(({ range }) => Number(/bytes=(\d+)/.exec(range ?? 'bytes=0')?.[1]))
    expect(starts.filter((start) => start > 0).length).toBeGreaterThanOrEqual(3)
    expect(starts).toEqual([...starts].sort((a, b) => a - b))
  })

  test('a second run goes on where a killed one stopped', async () => {
    const all = files['model.safetensors']
    await mkdir(join(folderOf(), 'blobs'), { recursive: true })
    await writeFile(join(folderOf(), 'blobs', `${etagOf(all)}.llmpress.incomplete`), all.subarray(0, 200_000))
    await rightBytes()
    expect(
      contentRequests()
        .filter(({ path }) => path.endsWith(etagOf(all)))
        .map(({ range }) => range),
    ).toEqual(['bytes=200000-299999'])
  })

  test('starts again where what is left of a killed run is damaged', async () => {
    const all = files['model.safetensors']
    await mkdir(join(folderOf(), 'blobs'), { recursive: true })
    await writeFile(join(folderOf(), 'blobs', `${etagOf(all)}.llmpress.incomplete`), Buffer.alloc(200_000))
    await rightBytes()
  })

  test('gives up where nothing arrives any more, and keeps what is there', async () => {
    hub.fault = (seen) => (weights(seen) && seen.path.endsWith(etagOf(files['model.safetensors'])) ? { dropAfter: 0 } : undefined)
    const failure = get()
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(/model\.safetensors broke off again and again/)
    expect(existsSync(join(folderOf(), 'snapshots', commitOf(files), 'model.safetensors'))).toBe(false)
  })

  test('waits as long as a busy hub says (429), then goes on', async () => {
    let busy = 2
    hub.fault = ({ path }) => (path.startsWith('/api/') && busy-- > 0 ? { status: 429, headers: { 'Retry-After': '0' } } : undefined)
    await rightBytes()
  })

  test('gives up on a hub that stays busy', async () => {
    hub.fault = () => ({ status: 429 })
    const failure = get()
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(/the hub asks to wait \(429\)/)
  })

  test.each(['config.json', 'model.safetensors'])('refuses %s where it is offered with another etag than is listed', async (file) => {
    const last = file === 'config.json' ? '/config.json' : etagOf(files[file])
    const other = '0'.repeat(etagOf(files[file]).length)
    hub.fault = ({ path }) => (path.endsWith(last) ? { headers: { ETag: `"${other}"` } } : undefined)
    const failure = get()
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(new RegExp(`${file} is offered with the etag 0+ and \\d+ bytes, expected`))
  })

  test('refuses content that does not have the hash of its etag', async () => {
    const wrong = Buffer.alloc(300_000, 'w')
    hub.fault = (seen) => (seen.path.endsWith(etagOf(files['model.safetensors'])) ? { body: wrong } : undefined)
    await expect(get()).rejects.toThrow(/the content of model\.safetensors does not have the hash/)
    expect(await readdir(join(folderOf(), 'blobs'))).not.toContain(etagOf(files['model.safetensors']))
  })

  test('is not taken in by a server that sends the whole file for a part of it', async () => {
    const all = files['model.safetensors']
    await mkdir(join(folderOf(), 'blobs'), { recursive: true })
    await writeFile(join(folderOf(), 'blobs', `${etagOf(all)}.llmpress.incomplete`), all.subarray(0, 200_000))
    hub.fault = (seen) => (weights(seen) && seen.path.endsWith(etagOf(all)) ? { ignoreRange: true } : undefined)
    await rightBytes()
  })

  test('refuses a file that is listed and not there', async () => {
    hub.fault = ({ path }) => (path.endsWith('/tokenizer.json') ? { status: 404, headers: { 'X-Error-Code': 'EntryNotFound' } } : undefined)
    await expect(get()).rejects.toThrow(/tokenizer\.json is listed but not there/)
  })

  test('stops when it is told to', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    const failure = get(NAME, { signal: controller.signal, onDownload: () => controller.abort(reason) })
    await expect(failure).rejects.toThrow(/enough|abort/)
  })

  test('two downloads at a time fetch a file once', async () => {
    await Promise.all([get(), get()])
    expect(contentRequests().filter(({ path }) => path.endsWith(etagOf(files['model.safetensors'])))).toHaveLength(1)
  })
})

describe('modelFolder() and who is told what', () => {
  const cdn = ({ path }: { path: string }) => path.startsWith('/cdn/')
  const cloudfront = { headers: { 'X-Cache': 'Hit from cloudfront' } }

  test('sends the token to the hub alone, also where the library goes to the store at once', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_secret')
    hub.fault = (seen) => (cdn(seen) ? cloudfront : undefined)
    await get()
    const stores = hub.seen.filter(cdn)
    expect(stores.length).toBeGreaterThan(1)
    for (const { host, authorization } of stores) expect([host?.startsWith('localhost'), authorization]).toEqual([true, undefined])
    const others = hub.seen.filter((seen) => !cdn(seen))
    expect(new Set(others.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer hf_secret']))
  })

  test.each([
    ['at the first byte', (range: string | undefined) => range === 'bytes=0-0'],
    ['for the content', (range: string | undefined) => range !== 'bytes=0-0'],
  ])('says a refusal of the store %s without its address, and does not ask again', async (_, when) => {
    const signed = Buffer.from('<Error><Key>X-Amz-Signature=abc</Key></Error>')
    const headers = { 'Content-Type': 'application/xml' }
    hub.fault = (seen) => (cdn(seen) ? (when(seen.range) ? { status: 403, headers, body: signed } : cloudfront) : undefined)
    const error = (await get().catch((thrown: unknown) => thrown)) as Error
    expect(error).toBeInstanceOf(UserError)
    expect(error.message).toMatch(/Cannot download org\/tiny@main .*access is refused/)
    expect(error.message).not.toMatch(/URL|cdn|Signature|localhost/)
    expect(hub.seen.filter((seen) => cdn(seen) && when(seen.range))).toHaveLength(1)
  })

  test('takes plain ranges where the hub offers Xet', async () => {
    hub.xet = true
    const { path } = await get()
    expect(files['model.safetensors'].equals(await readFile(join(path, 'model.safetensors')))).toBe(true)
    expect(hub.seen.filter((seen) => seen.path.includes('xet'))).toEqual([])
    expect(contentRequests().length).toBeGreaterThan(0)
  })

  test.each([
    [401, '', /access to it must be asked for: Access to model org\/tiny is restricted \(no HF_TOKEN is set\)/],
    [403, 'hf_other', /access to it must be asked for: Access to model org\/tiny is restricted \(HF_TOKEN has no right to it\)/],
  ])('says where to ask for access to a gated model (%i)', async (status, token, message) => {
    vi.stubEnv('HF_TOKEN', token)
    const headers = { 'X-Error-Code': 'GatedRepo', 'X-Error-Message': 'Access to model org/tiny is restricted.' }
    hub.fault = ({ path }) => (path.includes('/resolve/') ? { status, headers } : undefined)
    const error = (await get().catch((thrown: unknown) => thrown)) as Error
    expect(error).toBeInstanceOf(UserError)
    expect(error.message).toMatch(message)
    expect(error.message).toContain(`Ask on ${hub.url}/org/tiny, then set HF_TOKEN`)
  })

  test('gives the reason of the hub for any other refusal', async () => {
    const headers = { 'X-Error-Message': 'Access to this resource is disabled.' }
    hub.fault = ({ path }) => (path.startsWith('/api/') ? { status: 403, headers } : undefined)
    await expect(get()).rejects.toThrow(/access is refused: Access to this resource is disabled \(no HF_TOKEN is set\)/)
  })
})

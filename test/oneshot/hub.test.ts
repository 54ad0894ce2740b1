import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { messageOf } from '../../src/cli/exit.ts'
import { inspect as inspectModel } from '../../src/eval/inspect.ts'
import { verify } from '../../src/eval/verify.ts'
import type { ProgressEvent } from '../../src/oneshot/events.ts'
import { type OneshotOptions, oneshot } from '../../src/oneshot/oneshot.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { RunError, UserError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { commitOf, type FakeHub, type Fault, startFakeHub } from '../hub/fake-hub.ts'

const TINY = 'test/oracles/tiny'

let hub: FakeHub
let output: string

beforeEach(async () => {
  hub = await startFakeHub()
  const folder = await temporaryFolder()
  output = join(folder, 'out')
  const files: Record<string, Buffer> = {}
  for (const name of await readdir(TINY)) files[name] = await readFile(join(TINY, name))
  hub.repos.set('models/org/tiny', files)
  vi.stubEnv('HF_ENDPOINT', hub.url)
  vi.stubEnv('HF_HOME', join(folder, 'home'))
  vi.stubEnv('HF_TOKEN', 'hf_writer')
  for (const name of ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_HUB_OFFLINE', 'HF_TOKEN_PATH']) vi.stubEnv(name, '')
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await hub.close()
})

const run = (more: Partial<OneshotOptions> = {}) => oneshot({ model: 'org/tiny', recipe: 'W4A16', output, ...more })

describe('the token', () => {
  test('stands in no event, record, file, error or stack', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_writer')
    const said: unknown[] = []
    const note = (event: unknown) => void said.push(event)
    said.push(await run({ onProgress: note, onDownload: note, pushToHub: 'me/x' }))
    for (const name of await readdir(output)) said.push(await readFile(join(output, name), 'latin1'))
    const faults: Fault[] = [{ status: 401 }, { status: 403 }, { status: 500 }, { reset: true }, { body: Buffer.from('hf') }]
    for (const [i, fault] of faults.entries()) {
      hub.fault = () => fault
      vi.stubEnv('HF_HOME', join(output, '..', `home-${i}`))
      const error = await run({ output: `${output}-${i}`, onProgress: note }).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(Error)
      said.push(inspect(error, { depth: 20, showHidden: true }), messageOf(error, { debug: true }))
    }
    expect(inspect(said, { depth: 20, maxArrayLength: null, maxStringLength: null })).not.toContain('hf_writer')
    expect(hub.seen.some(({ authorization }) => authorization === 'Bearer hf_writer')).toBe(true)
  })
})

describe('oneshot() of a model of the hub', () => {
  test('compresses it as its folder, and says where it comes from', async () => {
    const record = await run()
    const commit = commitOf(hub.repos.get('models/org/tiny') ?? {})
    expect(record.model).toBe(`org/tiny@${commit}`)
    const card = await readFile(join(output, 'README.md'), 'utf8')
    expect(card).toMatch(/^---\nbase_model: org\/tiny\nbase_model_relation: quantized\n/)
    expect(card).toContain(`| original | org/tiny, commit ${commit} |`)
    await oneshot({ model: TINY, recipe: 'W4A16', output: `${output}-2` })
    const [ours, folders] = await Promise.all([output, `${output}-2`].map((folder) => readFile(join(folder, 'model.safetensors'))))
    expect(ours.equals(folders)).toBe(true)
    expect(await readFile(join(`${output}-2`, 'README.md'), 'utf8')).not.toContain('base_model')
  })

  test('names the output after it; plan, inspect and verify take it too', async () => {
    const plan = await planRun({ model: 'org/tiny', recipe: 'W4A16' })
    expect(plan.output).toBe(join(process.cwd(), 'tiny-W4A16'))
    await plan.close()
    expect((await inspectModel('org/tiny')).modelType).toBe('llama')
    await run()
    expect((await verify(output, { against: 'org/tiny', localFilesOnly: true })).problems).toEqual([])
  })
})

describe('oneshot() with pushToHub', () => {
  test('uploads what it wrote in one commit, with the model card', async () => {
    const events: ProgressEvent[] = []
    const record = await run({ pushToHub: 'me/tiny-w4a16', onProgress: (event) => events.push(event) })
    const pushed = hub.repos.get('models/me/tiny-w4a16') ?? {}
    expect(record.pushed).toEqual({ repo: 'me/tiny-w4a16', url: `${hub.url}/me/tiny-w4a16`, commit: commitOf(pushed) })
    expect(hub.commits).toEqual([expect.stringMatching(/^out, compressed with llmpress \d/)])
    expect(Object.keys(pushed).sort()).toEqual((await readdir(output)).sort())
    for (const [name, bytes] of Object.entries(pushed)) expect(bytes.equals(await readFile(join(output, name)))).toBe(true)
    expect(String(pushed['README.md'])).toMatch(/- W4A16\n---\n[\s\S]*\| q_proj \| RTN \| W4A16 g128 \| \d/)
    expect(String(pushed['README.md'])).toContain('```yaml')
    const last = events.filter((event) => event.type === 'upload').at(-1)
    expect(last?.sent).toBe(last?.total)
  })

  test('pushes again into a repository that is there', async () => {
    await run({ pushToHub: 'me/tiny-w4a16' })
    await run({ pushToHub: 'me/tiny-w4a16', overwrite: true })
    expect(hub.commits).toHaveLength(2)
  })

  test('makes a private repository where it is asked to, and keeps out of one that others can see', async () => {
    await run({ pushToHub: 'me/hidden', private: true })
    await run({ pushToHub: 'me/hidden', private: true, overwrite: true })
    expect([...hub.private]).toEqual(['models/me/hidden'])
    expect(hub.commits).toHaveLength(2)
    hub.repos.set('models/me/open', {})
    const failure = run({ pushToHub: 'me/open', private: true, overwrite: true })
    await expect(failure).rejects.toThrow(UserError)
    await expect(failure).rejects.toThrow(/Cannot push to me\/open in private: .*everyone can see it/)
    expect(hub.repos.get('models/me/open')).toEqual({})
  })

  test('refuses private without a repository to push to', async () => {
    await expect(run({ private: true })).rejects.toThrow(/private says who may see what is pushed, expected pushToHub/)
    expect(existsSync(output)).toBe(false)
  })

  test.each([
    ['no token', { HF_TOKEN: '' }, 'me/x', /Cannot push to me\/x: found no HF_TOKEN and no login/],
    ['a name that is none', {}, 'x', /Cannot push to "x": it is no repository/],
    ['no network allowed', { HF_HUB_OFFLINE: '1' }, 'me/x', /only local files are allowed/],
  ])('refuses %s before it computes', async (_, env, pushToHub, message) => {
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
    const failure = run({ model: TINY, pushToHub })
    await expect(failure).rejects.toThrow(UserError)
    await expect(failure).rejects.toThrow(message)
    expect(existsSync(output)).toBe(false)
  })

  test('keeps the checkpoint where the hub refuses it, and says how to push it', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_reader')
    const failure = run({ model: TINY, pushToHub: 'me/x' })
    await expect(failure).rejects.toThrow(UserError)
    await expect(failure).rejects.toThrow(/the token is refused \(Invalid token\).*The checkpoint is whole in .*out; `hf upload me\/x/)
    expect((await verify(output, { against: TINY })).problems).toEqual([])
  })

  test('keeps it where the hub fails', async () => {
    hub.fault = ({ path }) => (path.includes('/commit/') ? { status: 400 } : undefined)
    const failure = run({ model: TINY, pushToHub: 'me/x' })
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(/the hub answers with status 400/)
    expect(existsSync(join(output, 'config.json'))).toBe(true)
  })
})

describe('inspect() of a model of the hub', () => {
  const weightRequests = () => hub.seen.filter(({ path, range }) => path.startsWith('/cdn/') && range !== 'bytes=0-0')
  const cachedWeights = async () => {
    const snapshots = join(process.env.HF_HOME ?? '', 'hub', 'models--org--tiny', 'snapshots')
    const [commit] = await readdir(snapshots)
    return (await readdir(join(snapshots, commit))).filter((name) => name.endsWith('.safetensors'))
  }

  test('reads the headers where they are: what it says is what it says of the folder, and no weights are kept', async () => {
    const { path: _, ...remote } = await inspectModel('org/tiny')
    const { path: __, ...local } = await inspectModel(TINY)
    expect(remote).toEqual(local)
    expect(await cachedWeights()).toEqual([])
  })

  test('reads sharded and compressed ones so too, small tensors included', async () => {
    const sharded = 'test/oracles/checkpoints/rtn-w4a16'
    const files: Record<string, Buffer> = {}
    for (const name of await readdir(sharded)) files[name] = await readFile(join(sharded, name))
    hub.repos.set('models/org/tiny', files)
    const { path: _, ...remote } = await inspectModel('org/tiny')
    const { path: __, ...local } = await inspectModel(sharded)
    expect(remote).toEqual(local)
    expect(remote.format).toBe('pack-quantized')
    expect(await cachedWeights()).toEqual([])
  })

  test('takes what is in the cache, without another request for weights', async () => {
    await run()
    const before = weightRequests().length
    expect((await inspectModel('org/tiny')).tensors).toBeGreaterThan(0)
    expect(weightRequests().length).toBe(before)
    expect((await inspectModel('org/tiny', { localFilesOnly: true })).tensors).toBeGreaterThan(0)
  })

  test('a damaged header is an error of the checkpoint that names the file', async () => {
    const files = { ...hub.repos.get('models/org/tiny') } as Record<string, Buffer>
    files['model.safetensors'] = Buffer.concat([Buffer.alloc(8, 0xff), files['model.safetensors'].subarray(8)])
    hub.repos.set('models/org/tiny', files)
    await expect(inspectModel('org/tiny')).rejects.toThrow(/model\.safetensors/)
  })
})

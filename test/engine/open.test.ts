import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ENGINES } from '../../src/engine/engine.ts'
import { nativeFolder, webgpuFolder } from '../../src/engine/native-folder.ts'
import { openEngine } from '../../src/engine/open.ts'
import { UserError } from '../../src/util/errors.ts'

describe('openEngine', () => {
  let cache: string
  beforeEach(async () => {
    cache = await mkdtemp(join(tmpdir(), 'llmpress-engine-'))
    vi.stubEnv('LLMPRESS_CACHE', cache)
  })
  afterEach(async () => {
    vi.unstubAllEnvs()
    vi.restoreAllMocks()
    await rm(cache, { recursive: true })
  })

  it('opens wasm from npm alone, without a word on the console', async () => {
    const spies = (['log', 'info', 'warn', 'error'] as const).map((method) => vi.spyOn(console, method))
    const engine = await openEngine({ engine: 'wasm', threads: 3 })
    expect(engine.name).toBe('wasm')
    expect(engine.detail).toBe('WebAssembly SIMD, 3 threads')
    expect(engine.rejected).toEqual([])
    expect(engine.inverseFactor).toBeUndefined()
    expect(tf.getBackend()).toBe('wasm')
    for (const spy of spies) expect(spy).not.toHaveBeenCalled()
  })

  it('falls down the list with auto and says why', async () => {
    const { name, rejected } = await openEngine({ engine: 'auto' })
    expect(name).toBe('wasm')
    expect(rejected.map(({ engine }) => engine)).toEqual(ENGINES.filter((engine) => engine !== 'wasm'))
    for (const { why } of rejected) expect(why).toMatch(/@tensorflow\/tfjs-(node|node-gpu|backend-webgpu) (is|are) not installed/)
  })

  it.each([
    ['native', '`llmpress native install`'],
    ['gpu', '`llmpress native install --gpu`'],
  ] as const)('names what to do when %s is asked for and missing', async (engine, remedy) => {
    const failure = openEngine({ engine })
    await expect(failure).rejects.toThrow(UserError)
    await expect(failure).rejects.toThrow(`Cannot use the ${engine} engine: @tensorflow/tfjs-node`)
    await expect(failure).rejects.toThrow(remedy)
  })

  it('refuses bfloat16 products on engines that have none', async () => {
    const failure = openEngine({ engine: 'wasm', precision: 'bfloat16' })
    await expect(failure).rejects.toThrow(UserError)
    await expect(failure).rejects.toThrow('the wasm engine has none, expected --precision float32 or --engine native')
  })

  /** A stand-in for tfjs-node in the cache folder; with a binding it is required and runs `program`. */
  const install = async (binding: boolean, program: string, place = nativeFolder(false)) => {
    const folder = join(place, 'node_modules', '@tensorflow', 'tfjs-node')
    await mkdir(join(folder, 'lib', 'napi-v8'), { recursive: true })
    if (binding) await writeFile(join(folder, 'lib', 'napi-v8', 'tfjs_binding.node'), '')
    await writeFile(join(folder, 'package.json'), '{"name": "@tensorflow/tfjs-node", "main": "index.js"}')
    await writeFile(join(folder, 'index.js'), program)
  }

  it('does not require a package whose binding was never built', async () => {
    await install(false, 'throw new Error("was required")')
    await expect(openEngine({ engine: 'native' })).rejects.toThrow(
      /has no lib\/napi-v\*\/tfjs_binding\.node: its install script did not run/,
    )
  })

  it('turns a binding that does not load into a reason of one line', async () => {
    const spy = vi.spyOn(console, 'error')
    await install(true, 'console.error("noise"); throw new Error("libtensorflow.so.2: cannot open\\nstack of ten lines")')
    const { name, rejected } = await openEngine({ engine: 'auto' })
    expect(name).toBe('wasm')
    const why = rejected.find(({ engine }) => engine === 'native')?.why
    expect(why).toMatch(/tfjs-node does not load: libtensorflow\.so\.2: cannot open$/)
    expect(spy).not.toHaveBeenCalled()
  })

  it('runs no code from the working directory, which may be a model folder of a stranger', async () => {
    const model = join(cache, 'model')
    await install(true, 'throw new Error("ran code of a stranger")', model)
    vi.spyOn(process, 'cwd').mockReturnValue(model)
    await expect(openEngine({ engine: 'native' })).rejects.toThrow('@tensorflow/tfjs-node is not installed')
  })

  it('takes TensorFlow from the project of the program that runs, through links', async () => {
    const project = join(cache, 'project')
    await install(true, 'throw new Error("the one of the project")', project)
    await writeFile(join(project, 'main.js'), '')
    await symlink(join(project, 'main.js'), join(cache, 'command'))
    const script = process.argv[1]
    process.argv[1] = join(cache, 'command')
    try {
      await expect(openEngine({ engine: 'native' })).rejects.toThrow('does not load: the one of the project')
    } finally {
      process.argv[1] = script
    }
  })

  it('names what to do when webgpu is asked for and missing', async () => {
    const failure = openEngine({ engine: 'webgpu' })
    await expect(failure).rejects.toThrow(UserError)
    await expect(failure).rejects.toThrow('Cannot use the webgpu engine: webgpu and @tensorflow/tfjs-backend-webgpu are not installed')
    await expect(failure).rejects.toThrow('`llmpress native install --webgpu`, or `npm install webgpu @tensorflow/tfjs-backend-webgpu`')
  })

  /** Stand-ins for the packages of the webgpu engine in the cache folder, whose only adapter is the one given. */
  const installWebgpu = async (adapter: string) => {
    for (const [name, type, program] of [
      ['webgpu', 'module', `export const globals = {}\nexport const create = () => ({ requestAdapter: async () => (${adapter}) })`],
      ['@tensorflow/tfjs-backend-webgpu', 'commonjs', ''],
    ]) {
      const folder = join(webgpuFolder(), 'node_modules', name)
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, 'package.json'), JSON.stringify({ name, type, main: 'index.js' }))
      await writeFile(join(folder, 'index.js'), program)
    }
  }

  it.each([
    ['null', 'no GPU was found, expected one with a driver for Vulkan, Metal or Direct3D 12'],
    [
      '{ info: { device: "llvmpipe", description: "", isFallbackAdapter: true } }',
      'the only adapter computes on the CPU (llvmpipe (software)), expected a GPU',
    ],
  ])('auto passes over a webgpu whose adapter is %s, and says so', async (adapter, why) => {
    await installWebgpu(adapter)
    const { name, rejected } = await openEngine({ engine: 'auto' })
    expect(name).toBe('wasm')
    expect(rejected).toContainEqual({ engine: 'webgpu', why, isPresent: false })
  })

  it('turns a device that is refused into a reason', async () => {
    await installWebgpu(
      '{ info: { device: "Some GPU" }, limits: { maxBufferSize: 5 }, requestDevice: async ({ requiredLimits }) => { throw new Error("wanted " + requiredLimits.maxBufferSize) } }',
    )
    await expect(openEngine({ engine: 'webgpu' })).rejects.toThrow(/node_modules\/webgpu does not load: wanted 5\. Use --engine auto/)
  })

  it.each([0, -1, 1.5])('rejects %d threads', async (threads) => {
    await expect(openEngine({ engine: 'wasm', threads })).rejects.toThrow(UserError)
  })
})

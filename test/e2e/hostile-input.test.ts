import { readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import type { ByteSource } from '../../src/checkpoint/byte-source.ts'
import { openCheckpoint } from '../../src/checkpoint/reader.ts'
import { loadTokenizer } from '../../src/data/tokenizer.ts'
import { verify } from '../../src/eval/verify.ts'
import { openModel } from '../../src/models/open-model.ts'
import { oneshot } from '../../src/oneshot/oneshot.ts'
import { planRun } from '../../src/oneshot/plan.ts'
import { rebuild } from '../../src/oneshot/rebuild.ts'
import { loadRecipe } from '../../src/recipe/parse.ts'
import { CheckpointError, RecipeError, RunError, UserError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'
import { oracleFolder } from '../models/oracles.ts'
import { copyModel, shardModel } from './model-copy.ts'
import { edit, edits, mutate, mutations } from './mutations.ts'

const MEGABYTE = 2 ** 20

// Hundreds of cases each.
vi.setConfig({ testTimeout: 240_000 })

/** Of cases that load modules on their way, and parse hundreds of files. */
const GARBAGE = 192 * MEGABYTE

/** What a case may take of a processor, whoever else wants it: far above what any does, far below what hangs. */
const PROCESSOR_SECONDS = 20

/** Collects what lies about, so that a growing process is one that holds memory. */
const collect: () => void = (() => {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc')
})()

/** Cases between two collections. */
const COLLECT_EVERY = 25
let cases = 0

/** Runs a reader on what may be damaged: it comes through, or one of our own errors says why not; soon, and without much memory. */
async function survives(read: () => Promise<unknown>): Promise<void> {
  if (cases++ % COLLECT_EVERY === 0) collect()
  const started = process.cpuUsage()
  try {
    await read()
  } catch (error) {
    if (!(error instanceof UserError || error instanceof RunError)) throw error
    expect(error.message.length).toBeGreaterThan(10)
    // A message is for people, whatever it quotes.
    expect(error.message.length).toBeLessThan(20_000)
  }
  const { user, system } = process.cpuUsage(started)
  expect((user + system) / 1e6).toBeLessThan(PROCESSOR_SECONDS)
}

/**
 * Runs cases; the memory of the process must not grow by more than 64 MB and the files while they do. `garbage`: what may lie about beside,
 * where each case parses and throws away: a collector waits for some of it.
 */
async function bounded(work: () => Promise<void>, files = 0, garbage = 0): Promise<void> {
  const before = process.memoryUsage().rss
  let most = before
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss)
  }, 5)
  try {
    await work()
  } finally {
    clearInterval(watch)
  }
  expect(Math.max(most, process.memoryUsage().rss) - before).toBeLessThan(files + garbage + 64 * MEGABYTE)
}

/** A safetensors file in memory that tells of reads outside of it. */
function watchedFile(bytes: Uint8Array, outside: string[]): ByteSource {
  return {
    size: bytes.length,
    async read(into, position) {
      if (position < 0 || position + into.length > bytes.length) outside.push(`${position} + ${into.length} of ${bytes.length}`)
      const part = bytes.subarray(position, position + into.length)
      into.set(part)
      return part.length
    },
    async close() {},
  }
}

/** Opens a checkpoint of one file in memory and reads all its tensors; gives the reads outside of the file. */
async function readAll(dir: string, bytes: Uint8Array): Promise<string[]> {
  const outside: string[] = []
  await survives(async () => {
    const reader = await openCheckpoint(dir, { names: ['model.safetensors'], open: async () => watchedFile(bytes, outside) })
    for (const name of reader.tensors.keys()) await reader.read(name)
    await reader.close()
  })
  return outside
}

const json = async (path: string) => JSON.parse(await readFile(path, 'utf8')) as unknown

describe('mutated files', { timeout: 300_000 }, () => {
  test('safetensors headers: no read outside the file, a typed error or all tensors', async () => {
    const dir = await temporaryFolder()
    const bytes = await readFile(join(oracleFolder('tiny'), 'model.safetensors'))
    const length = Number(bytes.readBigUInt64LE(0))
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as unknown
    const run = () =>
      fc.assert(
        fc.asyncProperty(mutations, fc.nat(3), async (changes, cut) => {
          const text = Buffer.from(JSON.stringify(mutate(header, changes)))
          const size = Buffer.alloc(8)
          size.writeBigUInt64LE(BigInt(text.length))
          const file = Buffer.concat([size, text, bytes.subarray(8 + length)])
          expect(await readAll(dir, file.subarray(0, file.length - 100 * cut))).toEqual([])
        }),
        { numRuns: 500 },
      )
    await bounded(run, bytes.length)
  })

  test('a length of the header that claims more than there is', async () => {
    const dir = await temporaryFolder()
    const bytes = await readFile(join(oracleFolder('tiny'), 'model.safetensors'))
    const run = () =>
      fc.assert(
        fc.asyncProperty(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.nat(64), async (length, keep) => {
          const file = Buffer.from(bytes)
          file.writeBigUInt64LE(keep > 32 ? length : length % BigInt(2 * file.length))
          expect(await readAll(dir, keep > 48 ? file.subarray(0, keep) : file)).toEqual([])
        }),
        { numRuns: 300 },
      )
    await bounded(run, bytes.length)
  })

  test('an index: names no file but those of the folder', async () => {
    const model = await copyModel(join(await temporaryFolder(), 'tiny'))
    await shardModel(model, () => {})
    const path = join(model, 'model.safetensors.index.json')
    const [original, text] = [await json(path), await readFile(path, 'utf8')]
    await bounded(() =>
      fc.assert(
        fc.asyncProperty(mutations, edits, fc.boolean(), async (changes, characters, isText) => {
          await writeFile(path, isText ? edit(text, characters) : JSON.stringify(mutate(original, changes)))
          await survives(async () => {
            const reader = await openCheckpoint(model)
            for (const { file } of reader.tensors.values()) expect(await readdir(model)).toContain(file)
            await reader.close()
          })
        }),
        { numRuns: 300 },
      ),
    )
  })

  test.each(['tiny', 'checkpoints/rtn-w4a16', 'architectures/mixtral', 'architectures/gemma2'])('config.json of %s', async (name) => {
    const model = await copyModel(join(await temporaryFolder(), 'model'), oracleFolder(name))
    const path = join(model, 'config.json')
    const [original, text] = [await json(path), await readFile(path, 'utf8')]
    await bounded(
      () =>
        fc.assert(
          fc.asyncProperty(mutations, edits, fc.nat(4), async (changes, characters, kind) => {
            await writeFile(path, kind === 0 ? edit(text, characters) : JSON.stringify(mutate(original, changes)))
            await survives(async () => (await openModel(model)).close())
          }),
          { numRuns: 120 },
        ),
      0,
      GARBAGE,
    )
  })

  test.each(['tiny', '../data/tokenizers/gpt2', '../data/tokenizers/llama2', '../data/tokenizers/unigram'])(
    'tokenizer.json of %s',
    async (name) => {
      const model = await temporaryFolder()
      const from = oracleFolder(name)
      const text = await readFile(join(from, 'tokenizer.json'), 'utf8')
      await writeFile(join(model, 'tokenizer_config.json'), await readFile(join(from, 'tokenizer_config.json')).catch(() => '{}'))
      const original: unknown = JSON.parse(text)
      await bounded(
        () =>
          fc.assert(
            fc.asyncProperty(mutations, edits, fc.nat(4), async (changes, characters, kind) => {
              await writeFile(
                join(model, 'tokenizer.json'),
                kind === 0 ? edit(text, characters) : JSON.stringify(mutate(original, changes)),
              )
              await survives(async () => {
                const tokenizer = await loadTokenizer(model)
                tokenizer.decode(tokenizer.encode('Hello, world! 123  äöü'))
              })
            }),
            { numRuns: 60 },
          ),
        0,
        GARBAGE,
      )
    },
  )

  test('recipes', async () => {
    const folder = new URL('../../recipes/', import.meta.url)
    const names = (await readdir(folder)).sort()
    const texts = await Promise.all(names.map((name) => readFile(new URL(name, folder), 'utf8')))
    const { parse, stringify } = await import('yaml')
    await bounded(
      () =>
        fc.assert(
          fc.asyncProperty(fc.constantFrom(...texts), mutations, edits, fc.nat(3), async (text, changes, characters, kind) => {
            const recipe = kind === 0 ? edit(text, characters) : stringify(mutate(parse(text), changes), { aliasDuplicateObjects: false })
            await survives(async () => {
              await loadRecipe(`${recipe}\n`)
              const plan = await planRun({ model: oracleFolder('tiny'), recipe: `${recipe}\n`, output: '/nowhere/out' })
              await plan.close()
            })
          }),
          { numRuns: 400 },
        ),
      0,
      GARBAGE,
    )
  })

  test('reports, which verify and its rebuild read', async () => {
    const output = join(await temporaryFolder(), 'out')
    await oneshot({ model: oracleFolder('tiny'), recipe: 'W8A16', output })
    const path = join(output, 'llmpress-report.json')
    const original = await json(path)
    await fc.assert(
      fc.asyncProperty(mutations, async (changes) => {
        await writeFile(path, JSON.stringify(mutate(original, changes)))
        await survives(() => verify(output))
        await survives(() => rebuild(output, { threads: 1 }))
      }),
      { numRuns: 20 },
    )
  })
})

describe('a recipe', () => {
  const refused = async (text: string) => {
    const error = await loadRecipe(text).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(RecipeError)
    return error as RecipeError
  }

  test.each(['!!js/function "() => 1"', '!!python/object/apply:os.system [ls]', '!mine {}'])(
    'with the tag %s is refused where it stands',
    async (tag) => {
      const { message, position } = await refused(`rtn:\n  scheme: ${tag}\n`)
      expect(message).toContain(`found tag ${tag.split(' ')[0]}`)
      expect(position).toMatchObject({ line: 2, column: 11 })
    },
  )

  test('with a bomb of aliases is refused at once', async () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]']
    for (let i = 1; i < 12; i++)
      lines.push(
        `a${i}: &a${i} [${Array(9)
          .fill(`*a${i - 1}`)
          .join(', ')}]`,
      )
    await bounded(async () => {
      const started = performance.now()
      expect((await refused(`${lines.join('\n')}\n`)).message).toContain('aliases')
      expect(performance.now() - started).toBeLessThan(1000 * PROCESSOR_SECONDS)
    })
  })

  test('with a key twice is refused where the second stands', async () => {
    const { message, position } = await refused('rtn:\n  scheme: W4A16\n  scheme: W8A16\n')
    expect(message).toContain('found key scheme twice')
    expect(position).toMatchObject({ line: 3, column: 3 })
  })
})

test('a head dimension of a billion is refused before tables of that size are made', async () => {
  const model = await copyModel(join(await temporaryFolder(), 'tiny'))
  const path = join(model, 'config.json')
  await writeFile(path, JSON.stringify({ ...((await json(path)) as object), head_dim: 1e9 }))
  await bounded(async () => {
    await expect(openModel(model)).rejects.toThrow('head_dim is 1000000000 in config.json, but no tensor has more than 320 rows or columns')
  })
})

test.each([
  ['hidden_size', { toString: '' }],
  ['model_type', { toString: '' }],
  ['text_config', { model_type: { toString: '' } }],
])('a config.json with an object for %s that does not turn into text', async (key, value) => {
  const model = await copyModel(join(await temporaryFolder(), 'tiny'))
  const path = join(model, 'config.json')
  await writeFile(
    path,
    JSON.stringify({ ...((await json(path)) as object), ...(key === 'text_config' && { model_type: 1 }), [key]: value }),
  )
  await survives(async () => (await openModel(model)).close())
})

test('a model folder whose tokenizer is a link to a file elsewhere is refused, and that file copied nowhere', async () => {
  const folder = await temporaryFolder()
  const model = await copyModel(join(folder, 'tiny'))
  await writeFile(join(folder, 'secret'), 'secret')
  await symlink('../secret', join(model, 'added_tokens.json'))
  const output = join(folder, 'out')
  for (const attempt of [() => openModel(model), () => loadTokenizer(model), () => oneshot({ model, recipe: 'W4A16', output })]) {
    const failure = attempt()
    await expect(failure).rejects.toThrow(CheckpointError)
    await expect(failure).rejects.toThrow(/found added_tokens\.json, a link to .*secret, expected files of the folder's own/)
  }
  expect((await readdir(folder)).sort()).toEqual(['secret', 'tiny'])
})

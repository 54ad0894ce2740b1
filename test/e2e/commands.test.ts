import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readRun } from '../../src/report/read-run.ts'
import { copyModel, editWeights, TINY, tensorStart } from './model-copy.ts'
import { type CliResult, eventsOf, runCli } from './run-cli.ts'

interface Done {
  type: string
  record: { output: string; linears: unknown[]; data: { rows: number; tokens: number }; size: unknown }
}

let dir: string
let output: string
let run: CliResult

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'llmpress-commands-'))
  output = join(dir, 'tiny-gptq-w4a16')
  const flags = ['--num-calibration-samples', '16', '--max-seq-length', '64', '--json']
  run = await runCli(['oneshot', TINY, '--recipe', 'gptq-w4a16', ...flags], dir)
})
afterAll(() => rm(dir, { recursive: true, force: true }))

describe('oneshot', () => {
  test('writes to MODEL-RECIPE in the working directory, and --json streams events as JSON lines, the record that it also writes last', async () => {
    expect(run.code).toBe(0)
    const events = eventsOf<Done>(run.stdout)
    expect(new Set(events.map(({ type }) => type))).toEqual(
      new Set(['plan', 'data', 'engine', 'layer:start', 'stage', 'linear', 'layer:done', 'done']),
    )
    const { record } = events[events.length - 1]
    expect(record).toEqual(JSON.parse(await readFile(join(output, 'llmpress-report.json'), 'utf8')))
    expect(record.linears).toHaveLength(14)
    expect(record.data).toMatchObject({ rows: 16, tokens: 1024 })
  })

  test('tells of progress in plain lines on stderr when it is no terminal', () => {
    expect(run.stderr).toMatch(/^layer 1\/2 model\.layers\.0: .* to go$/m)
    expect(run.stderr).toMatch(/^layer 2\/2 model\.layers\.1: /m)
    expect(run.stderr).not.toContain('\u001b')
  })

  test('--quiet: nothing on stderr; the closing table fits 100 columns', async () => {
    const { code, stdout, stderr } = await runCli(['oneshot', TINY, '-r', 'W4A16', '-o', join(dir, 'quiet'), '--quiet'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^ +0 {2}self_attn\.q_proj +RTN +W4A16 g128 +\d\.\d+ % /m)
    expect(stdout).toContain('673.0 kB → 235.5 kB')
    // Paths are as long as they are, and are shown relative where that is shorter.
    const lines = stdout.split('\n').filter((line) => !line.includes(basename(dir)))
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(100)
  })
})

describe('report', () => {
  test('makes the page of one run anew, and figures as files; other files are left alone', async () => {
    const page = join(output, 'report.html')
    const before = await readFile(page, 'utf8')
    expect(await runCli(['report', output])).toEqual({ code: 0, stdout: `${page}\n`, stderr: '' })
    expect((await readFile(page, 'utf8')) === before).toBe(true)
    const figures = join(dir, 'figures')
    const { stdout } = await runCli(['report', output, '--format', 'md', '-o', figures, '--json'])
    const names = ['size', 'errors', 'gain', 'ranges', 'outliers', 'weights', 'channels']
    expect(JSON.parse(stdout)).toEqual({ files: names.map((name) => join(figures, `${name}.md`)) })
    const taken = join(dir, 'taken.html')
    await writeFile(taken, 'mine')
    const refused = await runCli(['report', output, '-o', taken])
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toMatch(/another file there.*--overwrite/)
    // Whatever it is called.
    const weights = join(dir, 'mine.safetensors')
    await writeFile(weights, 'mine')
    expect(await runCli(['report', output, '-o', weights])).toMatchObject({ code: 2, stdout: '' })
    expect(await readFile(weights, 'utf8')).toBe('mine')
    expect((await runCli(['report', TINY])).stderr).toMatch(
      /^error: Cannot report on .*: there is no .*llmpress-report\.json, expected the folder of a finished run/,
    )
  })
})

describe('what is found out about a checkpoint', () => {
  const MODEL = fileURLToPath(new URL('../../examples/models/docs-llama-4m', import.meta.url))

  test('is shown in its report: texts with the run or after it, scores of eval', async () => {
    const flags = ['--recipe', 'FP8_DYNAMIC', '--sample-prompt', 'The compiler', '--quiet', '--output', 'sampled']
    const { code, stderr } = await runCli(['oneshot', MODEL, ...flags], dir)
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/^shown in .*sampled\/report\.html\n$/) })
    const { samples } = await readRun(join(dir, 'sampled'))
    expect(samples).toMatchObject([{ prompt: 'The compiler', texts: [{ name: 'docs-llama-4m' }, { name: 'sampled' }] }])
    const { stdout } = await runCli(['generate', MODEL, 'sampled', '--prompt', 'The compiler', '--quiet', '--json'], dir)
    const texts = JSON.parse(stdout).results.map(({ text }: { text: string }) => text)
    expect(samples[0].texts.map(({ text }) => text)).toEqual(texts)

    const eight = ['--max-new-tokens', '8', '--greedy', '--report']
    expect((await runCli(['generate', MODEL, 'sampled', '--prompt', 'A tensor', ...eight], dir)).code).toBe(0)
    const some = ['--perplexity', 'docs-text', '--window', '64', '--windows', '2', '--report', '--json']
    const scored = await runCli(['eval', MODEL, 'sampled', ...some], dir)
    const run = await readRun(join(dir, 'sampled'))
    expect(run.samples.map(({ prompt }) => prompt)).toEqual(['The compiler', 'A tensor'])
    const [original, own] = JSON.parse(scored.stdout).models
    expect(run.scores?.rows[0]).toMatchObject({ value: own.text.perplexity, original: original.text.perplexity })
    expect(run.scores?.verdict).toBe(own.verdict)
    expect((await runCli(['verify', 'sampled', '--against', MODEL], dir)).code).toBe(0)
  })

  test('needs a checkpoint that a run left here, and is told so before anything is computed', async () => {
    const { code, stderr, stdout } = await runCli(['generate', MODEL, '--prompt', 'A', '--report'], dir)
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('found no llmpress-report.json in')
  })
})

describe('weights', () => {
  test('shows how weights lie before and after, and writes the histograms', async () => {
    const file = join(dir, 'weights.csv')
    const tensor = 'model.layers.0.mlp.up_proj'
    const flags = ['--tensor', tensor, '--against', output, '--histogram', '--format', 'csv', '-o', file]
    const { code, stdout, stderr } = await runCli(['weights', TINY, ...flags])
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: `${TINY}, ${output}: reading ${tensor}, quantizing them to eight bits to compare\n`,
    })
    expect(stdout).toMatch(/^original .*^absmax .*^zero-point .*^\/.*32,768 weights/ms)
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\r\n')
    expect([lines.length, lines[0]]).toEqual([151, `From,To,original,absmax,zero-point,${output}`])
    expect((await runCli(['weights', TINY, '--range', '2,1'])).code).toBe(2)
  })

  test.each(['svg', 'png', 'csv', 'md'])(
    '-o FILE.%s: written by its ending, and again, but in no place of another file',
    async (format) => {
      const file = join(dir, `drawn.${format}`)
      const args = ['weights', TINY, '--tensor', 'model.norm', '-o', file]
      expect((await runCli(args)).code).toBe(0)
      const first = await readFile(file)
      expect((await runCli(args)).code).toBe(0)
      expect(Buffer.compare(await readFile(file), first)).toBe(0)
      // Somebody else's of the same kind.
      const other = Buffer.concat([first.subarray(0, 1), Buffer.from('mine'), first.subarray(1)])
      await writeFile(file, other)
      const { code, stdout, stderr } = await runCli(args)
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
      expect(stderr).toContain(`error: Cannot write ${file}: found another file there, expected none or earlier histograms; --overwrite`)
      expect(Buffer.compare(await readFile(file), other)).toBe(0)
      expect((await runCli([...args, '--overwrite'])).code).toBe(0)
      expect(Buffer.compare(await readFile(file), first)).toBe(0)
    },
  )

  test('a format that the ending contradicts is refused, and so is a folder', async () => {
    const odd = await runCli(['weights', TINY, '--format', 'csv', '-o', join(dir, 'odd.png')])
    expect(odd).toMatchObject({ code: 2, stdout: '' })
    expect(odd.stderr).toContain('its ending says png, expected .csv, or another --format')
    expect((await runCli(['weights', TINY, '-o', dir])).stderr).toContain('it is a folder, expected a file')
  })
})

describe('plan', () => {
  test('shows linears, layout, sizes and calibration, and writes nothing', async () => {
    const { code, stdout, stderr } = await runCli(['plan', TINY, '--recipe', 'gptq-w4a16', '--output', join(dir, 'planned')])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/W4A16 g128 by GPTQModifier, stored as pack-quantized: 14 linears, 294,912 weights/)
    expect(stdout).toContain('  model.layers.0-1.mlp.down_proj\n')
    expect(stdout).toMatch(/Untouched +lm_head/)
    expect(stdout).toMatch(/512 rows of 256 tokens/)
    await expect(stat(join(dir, 'planned'))).rejects.toThrow('ENOENT')
  })

  test('--json foretells the size that oneshot arrives at', async () => {
    const { stdout } = await runCli(['plan', TINY, '--recipe', 'gptq-w4a16', '--json'])
    const { size } = JSON.parse(stdout) as { size: { after: number } }
    expect(size).toEqual(eventsOf<Done>(run.stdout).slice(-1)[0].record.size)
  })
})

describe('--target', () => {
  test('plan tells who serves the result, and refuses with exit code 2 what the target does not load', async () => {
    const flags = ['--output', join(dir, 'planned')]
    expect((await runCli(['plan', TINY, '--recipe', 'W4A16', ...flags])).stdout).toMatch(
      /Served by +vLLM \(GPU sm75\+, CPU\), transformers/,
    )
    const { code, stdout, stderr } = await runCli(['plan', TINY, '--recipe', 'FP8_BLOCK', '--target', 'vllm', ...flags])
    expect(code).toBe(2)
    expect(stdout).toMatch(/refused FP8 block 128x128.* 64 is not divisible by the 128 rows of a block/)
    expect(stderr).toContain('Cannot have the result of this recipe loaded by vLLM')
  })

  test('verify tells what runs a checkpoint; a target that is not known is refused with the legal ones', async () => {
    const { code, stdout } = await runCli(['verify', output, '--target', 'vllm'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/W4A16 g128: runs on GPU sm75\+ \(Marlin\), CPU \(CPUWNA16\)/)
    const wrong = await runCli(['verify', output, '--target', 'tgi'])
    expect(wrong.code).toBe(2)
    expect(wrong.stderr).toContain('vllm, transformers, sglang')
  })
})

describe('inspect', () => {
  test('shows equal layers once, with kind, shape and bits', async () => {
    const { code, stdout } = await runCli(['inspect', output])
    expect(code).toBe(0)
    expect(stdout).toMatch(/layers\.0-1 {2}\(2 x 76\.7 kB\)/)
    expect(stdout).toMatch(/down_proj +W4A16 g128 +128 x 256 +16\.9 kB +4\.13/)
  })

  test('ends quietly when its reader does', async () => {
    const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
    const child = spawn(process.execPath, [main, 'inspect', output], { stdio: ['ignore', 'pipe', 'pipe'] })
    child.stdout.destroy()
    let stderr = ''
    child.stderr.on('data', (text) => {
      stderr += text
    })
    const [code] = (await once(child, 'close')) as [number]
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })
})

describe('verify', () => {
  test('shows the error of each linear against the original', async () => {
    const { code, stdout, stderr } = await runCli(['verify', output, '--against', TINY])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout.match(/W4A16 g128 +\d[\d.]* %$/gm)).toHaveLength(14)
    expect(stdout).toContain('Sound: 48 tensors')
  })

  test('exits with 1 and says what is wrong with a checkpoint', async () => {
    const broken = await copyModel(join(dir, 'broken'))
    await editWeights(broken, (bytes) => {
      bytes.writeUInt16LE(0x7f80, tensorStart(bytes, 'model.norm.weight'))
      return bytes
    })
    const { code, stdout, stderr } = await runCli(['verify', broken])
    expect(code).toBe(1)
    expect(stdout).toMatch(/1 problem:\n {2}model\.norm\.weight is Infinity at element 0/)
    expect(stderr).toMatch(/^error: Cannot vouch for .*: found 1 problem, expected none\.\n$/)
  })
})

describe('eval', () => {
  test('scores original and compressed alike', async () => {
    const flags = ['--perplexity', 'docs-text', '--window', '64', '--windows', '4', '--json', '--quiet']
    const scores = []
    for (const checkpoint of [TINY, output]) {
      const { code, stdout, stderr } = await runCli(['eval', checkpoint, ...flags])
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      scores.push(JSON.parse(stdout) as { perplexity: number; tokens: number })
    }
    const [before, after] = scores
    expect(before.tokens).toBe(4 * 63)
    expect(Math.abs(after.perplexity / before.perplexity - 1)).toBeLessThan(0.05)
  })

  test('a text is needed', async () => {
    const { code, stderr } = await runCli(['eval', TINY])
    expect(stderr).toMatch(/^error: .*--perplexity/)
    expect(code).toBe(2)
  })
})

describe('doctor', () => {
  test('says which engine runs, why not a better one, and what to do', async () => {
    const { code, stdout } = await runCli(['doctor', '--json'])
    expect(code).toBe(0)
    const { engine, rejected, gflops, advice } = JSON.parse(stdout) as Record<string, never>
    expect(engine).toBe('wasm')
    expect(rejected).toMatchObject([{ engine: 'gpu' }, { engine: 'webgpu' }, { engine: 'native' }])
    expect(gflops).toBeGreaterThan(0)
    expect(String(advice)).toContain('llmpress native install')
  })
})

describe('llmpress', () => {
  test('--version is that of the package', async () => {
    const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
    expect(await runCli(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
  })

  test.each(['oneshot', 'plan', 'inspect', 'verify', 'eval', 'doctor', 'native install'])('%s --help has examples', async (command) => {
    const { code, stdout } = await runCli([...command.split(' '), '--help'])
    expect(code).toBe(0)
    expect(stdout).toContain(`$ llmpress ${command}`)
  })

  test('without a command: help, exit code 2', async () => {
    const { code, stdout, stderr } = await runCli([])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('Usage: llmpress')
  })

  test('--debug prints the stack', async () => {
    const { code, stderr } = await runCli(['inspect', join(dir, 'nowhere'), '--debug'])
    expect(code).toBe(2)
    expect(stderr).toMatch(/^\s+at /m)
  })
})

test('int8 logs each layer and the sizes, of its own codes or those of bitsandbytes', async () => {
  const flags = ['--model_name', TINY, '--calibration_samples', '4', '--max-seq-length', '32', '-o', join(dir, 'int8')]
  const { code, stdout } = await runCli(['int8', ...flags, '--use_bnb', 'False'])
  expect(code).toBe(0)
  expect(stdout).toMatch(
    /^Calibration samples: 4\nCalibration started\nLayer model\.layers\.0\.self_attn\.q_proj:\n {2}mean: -?\d\.\d{4}$/m,
  )
  expect(stdout).toMatch(/^Model Size Information:\n {2}original_size_gb: 0\.00\n/m)
  const other = await runCli(['int8', ...flags, '--use_bnb', 'True', '--llm_int8_threshold', '5', '--overwrite'])
  expect(other.code).toBe(0)
  expect(other.stderr).toContain('warning: --calibration_samples changes nothing with --use_bnb True')
  expect(other.stderr).not.toContain('--llm_int8_threshold changes nothing')
  expect(other.stdout).toContain('Method: LLM.int8 of bitsandbytes, threshold 5')
  expect(other.stdout).toMatch(
    /^Layer model\.layers\.0\.self_attn\.q_proj: LLM\.int8 threshold 5 \(squared error of the weights: 0\.0\d+ %\)$/m,
  )
  expect(other.stdout).toMatch(/^Model Size Information:$/m)
  expect(await readFile(join(dir, 'int8', 'config.json'), 'utf8')).toContain('"llm_int8_threshold": 5.0')
})

test('bench measures every checkpoint of a folder, goes on after one that fails, and writes a document for each', async () => {
  const folder = join(dir, 'bench')
  await copyModel(join(folder, 'a'))
  await copyModel(join(folder, 'c'))
  await mkdir(join(folder, 'b'))
  await writeFile(join(folder, 'b', 'config.json'), '{"model_type": "frog"}')
  const { code, stdout, stderr } = await runCli(['bench', folder, '--max-new-tokens', '2', '--threads', '1'], dir)
  expect(code).toBe(2)
  expect(stderr).toMatch(/error: .*bench\/b: Cannot /)
  expect(stdout).toMatch(/bench\/b +failed/)
  const found = JSON.parse(await readFile(join(dir, 'perf_results', 'summary.json'), 'utf8')) as { results: { error?: string }[] }
  expect(found.results.map(({ error }) => error !== undefined)).toEqual([false, true, false])
  expect(JSON.parse(await readFile(join(dir, 'perf_results', 'c.json'), 'utf8'))).toMatchObject({ max_new_tokens: 2 })
  expect(await runCli(['bench'], dir)).toMatchObject({ code: 2, stdout: '' })
})

test('bench follows links, gives checkpoints of one name documents of their own, and says first that a folder cannot be made', async () => {
  const folder = join(dir, 'links')
  await mkdir(folder)
  await symlink(TINY, join(folder, 'tiny'))
  const flags = ['--max-new-tokens', '1', '--threads', '1', '--engine', 'wasm']
  const documents = join(dir, 'documents')
  expect(await runCli(['bench', folder, TINY, ...flags, '--output-path', documents], dir)).toMatchObject({ code: 0 })
  expect((await readdir(documents)).sort()).toEqual(['summary.json', 'tiny-2.json', 'tiny.json'])
  const file = join(dir, 'a-file')
  await writeFile(file, '')
  expect(await runCli(['bench', TINY, ...flags, '--output-path', file], dir)).toEqual({
    code: 2,
    stdout: '',
    stderr: `error: Cannot write ${file}: ${file} is a file, expected a folder.\n`,
  })
})

test('eval says first that results cannot be written', async () => {
  const file = join(dir, 'no-folder')
  await writeFile(file, '')
  const { code, stdout, stderr } = await runCli(['eval', TINY, '--perplexity', 'docs-text', '--output_path', file], dir)
  expect({ code, stdout, stderr }).toEqual({
    code: 2,
    stdout: '',
    stderr: `error: Cannot write ${file}: ${file} is a file, expected a folder.\n`,
  })
})

describe('looking at checkpoints', () => {
  test('estimate sizes a model by its config.json, for people and as JSON', async () => {
    const text = await runCli(['estimate', join(TINY, 'config.json'), '--recipe', 'W4A16'])
    expect(text.code).toBe(0)
    expect(text.stdout).toMatch(/^float16 +\d+\.\d [kM]B +16\.00 /m)
    expect(text.stdout).toMatch(/^W4A16 +235\.\d kB /m)
    const { stdout } = await runCli(['estimate', TINY, '--json'])
    expect((JSON.parse(stdout) as { weights: unknown[] }).weights).toHaveLength(4)
  })

  test('recommend gives a verdict, a table and a recipe that plan takes', async () => {
    const { code, stdout } = await runCli(['recommend', TINY, '--gpu', 'L4'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^Take W8A16, rounding: /)
    const recipe = /Next: put this into recipe\.yaml\n((?: {2}.*\n)+)/.exec(stdout)?.[1] ?? ''
    const path = join(dir, 'recommended.yaml')
    await writeFile(path, recipe)
    expect((await runCli(['plan', TINY, '--recipe', path])).code).toBe(0)
    expect(await runCli(['recommend', TINY, '--gpu', 'RTX 4091'])).toMatchObject({ code: 2, stdout: '' })
  })

  test('inspect by layer, against the original, and a single tensor', async () => {
    const layers = await runCli(['inspect', output, '--by', 'layer', '--against', TINY])
    expect(layers.stdout).toMatch(/^model\.layers\.1 +\d+ .*W4A16 g128/m)
    expect(layers.stdout).toMatch(/^Against +673\.0 kB → 235\.\d kB/m)
    const tensor = await runCli(['inspect', output, '--tensor', 'model.layers.1.mlp.down_proj'])
    expect(tensor.stdout).toContain('The linear: W4A16 g128')
    expect(await runCli(['inspect', output, '--tensor', 'nothing'])).toMatchObject({ code: 2, stdout: '' })
  })

  test('compare lists what changed, most first where asked', async () => {
    const { code, stdout } = await runCli(['compare', TINY, output, '--sort', 'error', '--top', '3'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^Changed +14 tensors, 3 shown$/m)
    const { stdout: json } = await runCli(['compare', TINY, output, '--json'])
    expect((JSON.parse(json) as { tensors: unknown[] }).tensors.length).toBeGreaterThan(14)
  })
})

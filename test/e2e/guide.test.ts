import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readGuide } from '../../src/advice/guide.ts'
import { GUIDE_TOPICS } from '../../src/util/see-guide.ts'
import { copyModel } from './model-copy.ts'
import { runCli } from './run-cli.ts'

const parts = await readGuide()

describe('docs/guide.md', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'llmpress-guide-'))
    await copyModel(join(folder, 'model'))
    const text = await readFile(new URL('../../data/docs-text/eval.txt', import.meta.url), 'utf8')
    await writeFile(join(folder, 'my-text.txt'), text.slice(0, 6000))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  // In the guide's order: later parts use what earlier ones wrote.
  test.each(parts)('$topic: every command works', { timeout: 300_000 }, async ({ commands }) => {
    for (const command of commands) {
      const { code, stdout, stderr } = await runCli(wordsOf(command), folder)
      expect({ command, code, stderr: code === 0 ? '' : stderr }).toEqual({ command, code: 0, stderr: '' })
      expect(`${stdout}${stderr}`).not.toBe('')
    }
  })
})

/** The arguments of `npx llmpress ...` as a shell cuts them. */
function wordsOf(command: string): string[] {
  const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain)
  expect(words.slice(0, 2)).toEqual(['npx', 'llmpress'])
  return words.slice(2)
}

describe('llmpress explain', () => {
  test('lists the topics, and prints each', async () => {
    const { code, stdout } = await runCli(['explain'])
    expect(code).toBe(0)
    for (const { topic, title } of parts) expect(stdout).toMatch(new RegExp(`^${topic} +${title}$`, 'm'))
    const printed = await Promise.all(GUIDE_TOPICS.map((topic) => runCli(['explain', topic])))
    for (const [i, { title, commands }] of parts.entries()) {
      expect(printed[i].code).toBe(0)
      expect(printed[i].stdout.startsWith(`${title}\n\n`)).toBe(true)
      // Without marks of Markdown, and no line of text that a terminal of 100 columns breaks.
      expect(printed[i].stdout).not.toMatch(/^\||\]\(|<!--/m)
      const text = printed[i].stdout.split('\n').filter((line) => !commands.includes(line.trim()))
      expect(text.filter((line) => line.length > 100)).toEqual([])
    }
  })

  test('--json has the part as it stands in the guide; a topic that is none names the nearest', async () => {
    const { stdout } = await runCli(['explain', 'fp8', '--json'])
    expect(JSON.parse(stdout)).toEqual(JSON.parse(JSON.stringify(parts.find(({ topic }) => topic === 'fp8'))))
    const wrong = await runCli(['explain', 'qualty'])
    expect(wrong).toMatchObject({ code: 2, stdout: '' })
    expect(wrong.stderr).toContain('did you mean "quality"')
  })
})

describe('messages that point into the guide', () => {
  const model = new URL('../oracles/tiny', import.meta.url).pathname
  test('name a topic that there is', async () => {
    const memory = await runCli(['plan', model, '-r', 'gptq-w4a16', '--max-memory', '100MB'])
    expect(memory).toMatchObject({ code: 2, stdout: '' })
    expect(memory.stderr).toMatch(/expected --max-memory .* See 'llmpress explain memory'\.\n$/)
    const hub = await runCli(['estimate', 'org/not-there', '--local-files-only'])
    expect(hub.code).toBe(2)
    expect(hub.stderr).toMatch(/See 'llmpress explain hub'\.\n$/)
    const fp8 = await runCli(['plan', model, '-r', 'fp8-dynamic', '--target', 'vllm'])
    expect(fp8.stdout).toContain("below compute capability 89 Marlin leaves the inputs at 16 bits. See 'llmpress explain fp8'.")
    const advice = await runCli(['recommend', model])
    expect(advice.stdout).toContain('Read on: llmpress explain purpose')
  })
})

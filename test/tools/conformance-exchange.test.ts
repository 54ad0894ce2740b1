import { spawnSync } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../checkpoint/folders.ts'

const WRAPPER = fileURLToPath(new URL('../../tools/conformance-exchange.sh', import.meta.url))
const lists = await Promise.all(
  ['requirements.txt', 'requirements-gptq.txt'].map((name) => readFile(new URL(`../oracles/${name}`, import.meta.url), 'utf8')),
)

// A python3 that writes down what it is asked for, makes environments with itself in them, and fails to install GPTQModel's list while a file says so.
const PYTHON = `#!/bin/sh
echo "python $*" >> "$LOG"
case "$*" in
  "-m venv --clear "*) rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  *requirements-gptq.txt) test ! -e "$BROKEN" ;;
esac
`
const NODE = `#!/bin/sh
echo "node $CONFORMANCE_PYTHON $*" >> "$LOG"
`

test('the wrapper of conformance:exchange installs what its lists name, once, and again after an installation that broke off', async () => {
  const folder = await temporaryFolder()
  const [bin, cache, log, broken] = ['bin', 'cache', 'log', 'broken'].map((name) => join(folder, name))
  await mkdir(bin)
  await writeFile(join(bin, 'python3'), PYTHON, { mode: 0o755 })
  await writeFile(join(bin, 'node'), NODE, { mode: 0o755 })
  const run = async (more: Record<string, string> = {}) => {
    await writeFile(log, '')
    const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, LLMPRESS_CACHE: cache, LOG: log, BROKEN: broken, ...more }
    const { status, stderr } = spawnSync('bash', [WRAPPER, 'gptq-w4'], { env, encoding: 'utf8' })
    return { status, stderr, asked: (await readFile(log, 'utf8')).trim().split('\n') }
  }
  const venv = join(cache, 'exchange-venv')
  const install = [
    `python -m venv --clear ${venv}`,
    'python -m pip install --quiet --disable-pip-version-check -r test/oracles/requirements.txt',
    'python -m pip install --quiet --disable-pip-version-check --no-deps -r test/oracles/requirements-gptq.txt',
  ]
  const compare = `node ${venv}/bin/python test/conformance/exchange.js gptq-w4`
  const count = lists.join('').split('\n').filter(Boolean).length

  await writeFile(broken, '')
  const failed = await run()
  expect(failed).toMatchObject({ asked: install })
  expect(failed.status).not.toBe(0)

  await rm(broken)
  const first = await run()
  expect(first).toEqual({
    status: 0,
    stderr: `Installing ${count} Python packages with what they need into ${venv}\n`,
    asked: [...install, compare],
  })
  expect(await readFile(join(venv, 'requirements.txt'), 'utf8')).toBe(lists.join(''))
  expect(await run()).toEqual({ status: 0, stderr: '', asked: [compare] })

  // Another list than the one that was installed.
  await writeFile(join(venv, 'requirements.txt'), 'gptqmodel==1.0\n')
  expect((await run()).asked).toEqual([...install, compare])
  expect((await run({ LLMPRESS_EXCHANGE_PYTHON: '/opt/python' })).asked).toEqual(['node /opt/python test/conformance/exchange.js gptq-w4'])
})

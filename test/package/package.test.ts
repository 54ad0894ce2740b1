import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const exec = promisify(execFile)
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const TINY = join(ROOT, 'test/oracles/tiny')

// npm hands its own settings to the scripts it runs; a stranger's npm has none of them.
const env: NodeJS.ProcessEnv = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name))),
  NO_COLOR: '1',
}

let folder: string
let packed: string[]

async function filesBelow(path: string): Promise<string[]> {
  const entries = await readdir(join(ROOT, path), { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length))
}

/** What the build makes of a source. The kernels' AssemblyScript goes into wasm/, declarations stay behind. */
function builtFrom(source: string): string[] {
  if (source.startsWith('src/kernels/assembly/') || /\.d\.ts$|\.json$/.test(source)) return []
  // A page's style and program are taken as they are.
  if (/\.css$|\/(page|study-page|drawing)\.js$/.test(source)) return [source.replace(/^src/, 'dist')]
  const stem = source.replace(/^src/, 'dist').replace(/\.[jt]s$/, '')
  return [`${stem}.d.ts`, `${stem}.js`]
}

// The build of `npm test` is what is packed: --ignore-scripts keeps other tests from seeing a build that is half done.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'llmpress-package-'))
  const { stdout } = await exec('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], { cwd: ROOT, env })
  const [{ filename, files }] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }]
  packed = files.map(({ path }) => path).sort()
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'stranger', private: true, type: 'module' }))
  await exec('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', filename], { cwd: folder, env })
}, 120_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

describe('npm pack', () => {
  test('holds the build, the kernels, the schemas, recipes, texts and papers, and nothing else', async () => {
    const data = (await filesBelow('data')).filter((path) => !path.endsWith('.py'))
    const built = (await filesBelow('src')).flatMap(builtFrom)
    const papers = ['CHANGELOG.md', 'LICENSE', 'NOTICE', 'README.md', 'docs/guide.md', 'package.json']
    const others = [...(await filesBelow('recipes')), ...(await filesBelow('schemas')), 'wasm/kernels.wasm']
    expect(packed).toEqual([...built, ...data, ...others, ...papers].sort())
  })

  test('every dependency is imported by what is packed', async () => {
    const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { dependencies: Record<string, string> }
    const sources = await Promise.all(packed.filter((path) => path.startsWith('dist/')).map((path) => readFile(join(ROOT, path), 'utf8')))
    const imported = (name: string) => sources.some((text) => text.includes(`'${name}'`) || text.includes(`'${name}/`))
    expect(Object.keys(manifest.dependencies).filter((name) => !imported(name))).toEqual([])
  })
})

test('no runtime dependency runs an install script', async () => {
  const lock = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; peer?: boolean; optional?: boolean; hasInstallScript?: boolean }>
  }
  // The package itself builds on a clone, before it is packed.
  const others = Object.entries(lock.packages).filter(([path]) => path !== '')
  expect(others.length).toBeGreaterThan(20)
  expect(others.filter(([, { dev, hasInstallScript }]) => hasInstallScript && !dev).map(([path]) => path)).toEqual([])
  const installed = Object.keys(lock.packages).filter((path) => path !== '' && !lock.packages[path].dev && !lock.packages[path].peer)
  for (const path of installed) {
    const manifest = JSON.parse(await readFile(join(ROOT, path, 'package.json'), 'utf8').catch(() => '{}')) as { scripts?: object }
    expect(
      Object.keys(manifest.scripts ?? {}).filter((name) => /^(pre|post)?install$/.test(name)),
      path,
    ).toEqual([])
  }
})

describe('the package installed in an empty folder', () => {
  test('npx llmpress runs', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string }
    expect((await exec('npx', ['--no-install', 'llmpress', '--version'], { cwd: folder, env })).stdout.trim()).toBe(version)
  })

  test('leaves out the optional TensorFlow builds', async () => {
    const tensorflow = await readdir(join(folder, 'node_modules/@tensorflow'))
    expect(tensorflow.filter((name) => name.startsWith('tfjs-node'))).toEqual([])
  })

  test('a program that imports llmpress compresses a model', async () => {
    await writeFile(
      join(folder, 'compress.js'),
      `import { oneshot } from 'llmpress'
const record = await oneshot(process.argv[2], 'rtn-w4a16', { output: 'compressed' })
console.log(record.linears.length)\n`,
    )
    const { stdout } = await exec(process.execPath, ['compress.js', TINY], { cwd: folder, env })
    expect(Number(stdout)).toBe(14)
    expect(await readdir(join(folder, 'compressed'))).toEqual(expect.arrayContaining(['config.json', 'model.safetensors']))
  })

  test('its types hold under strict tsc', async () => {
    const options = { strict: true, target: 'ES2022', module: 'NodeNext', types: ['node'], skipLibCheck: true, noEmit: true }
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['consumer.ts'] }))
    await cp(join(ROOT, 'test/package/consumer.ts'), join(folder, 'consumer.ts'))
    // A stranger's own @types/node; the one of this repository saves a download.
    await mkdir(join(folder, 'node_modules/@types'), { recursive: true })
    for (const name of ['@types/node', 'undici-types']) {
      await cp(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name), { recursive: true })
    }
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    const { stdout } = await exec(process.execPath, [tsc, '-p', folder]).catch((error: { stdout: string }) => error)
    expect(stdout).toBe('')
  })
})

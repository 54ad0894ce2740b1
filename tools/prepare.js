// npm's prepare: builds where the build is missing or older than the sources. In a clone `npx llmpress` runs it before every command.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url))
const built = ['../dist/index.js', '../dist/cli/main.js', '../wasm/kernels.wasm'].map(here)
const sources = ['../tsconfig.json', '../tsconfig.build.json', '../asconfig.json', '../package.json'].map(here)
for (const name of readdirSync(here('../src'), { recursive: true })) sources.push(here(`../src/${name}`))

const time = (/** @type {string} */ path) => statSync(path).mtimeMs
const isCurrent = built.every((path) => existsSync(path)) && Math.max(...sources.map(time)) < Math.min(...built.map(time))
if (!isCurrent) execFileSync('npm', ['run', 'build'], { cwd: here('..'), stdio: 'inherit', shell: process.platform === 'win32' })

// Runs after tsc: deletes what an earlier build made from sources that are gone (a folder's files are loaded by being there, so a stale one
// would still be a modifier), copies what goes into pages as it is, and makes the command executable.
import { existsSync } from 'node:fs'
import { chmod, copyFile, readdir, rm } from 'node:fs/promises'

const dist = new URL('../dist/', import.meta.url)
for (const file of await readdir(dist, { recursive: true })) {
  const source = file.match(/^(.*?)(\.d\.ts|\.js)$/)?.[1]
  const isBuilt = source && ['.ts', '.js'].some((extension) => existsSync(new URL(`../src/${source}${extension}`, import.meta.url)))
  if (source && !isBuilt) await rm(new URL(file, dist))
}
for (const file of ['page.js', 'study-page.js', 'drawing.js', 'page.css'])
  await copyFile(new URL(`../src/report/page/${file}`, import.meta.url), new URL(`report/page/${file}`, dist))
await chmod(new URL('cli/main.js', dist), 0o755)

// SHA-256 of files (file-hash.ts), beside whatever else the process does. Plain JavaScript: a worker that is started from the sources
// has nobody to strip types for it.
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'

/** @type {{ paths: readonly string[] }} */
const { paths } = workerData
const buffer = Buffer.allocUnsafe(1 << 20)
// All at once: their folder may be moved before the last has its turn.
const files = paths.map((path) => openSync(path, 'r'))
/** @type {string[]} */
const hashes = []
for (const file of files) {
  const hash = createHash('sha256')
  for (let read = readSync(file, buffer); read > 0; read = readSync(file, buffer)) hash.update(buffer.subarray(0, read))
  closeSync(file)
  hashes.push(hash.digest('hex'))
}
parentPort?.postMessage(hashes)

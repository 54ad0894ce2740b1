// SHA-256 of one file (file-hash.ts), beside whatever else the process does. Plain JavaScript: a worker that is started from the sources
// has nobody to strip types for it.
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'

/** @type {{ path: string }} */
const { path } = workerData
const hash = createHash('sha256')
const buffer = Buffer.allocUnsafe(1 << 20)
const file = openSync(path, 'r')
try {
  for (let read = readSync(file, buffer); read > 0; read = readSync(file, buffer)) hash.update(buffer.subarray(0, read))
} finally {
  closeSync(file)
}
parentPort?.postMessage(hash.digest('hex'))

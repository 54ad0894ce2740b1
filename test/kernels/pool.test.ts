import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { sharedMemory } from '../../src/kernels/arena.ts'
import { WorkerPool } from '../../src/kernels/pool.ts'
import { RunError } from '../../src/util/errors.ts'

const wasm = new URL('../../wasm/kernels.wasm', import.meta.url)

async function openPool(lanes: number): Promise<WorkerPool> {
  return new WorkerPool(await WebAssembly.compile(await readFile(wasm)), sharedMemory(), lanes)
}

/** Far beyond the one page that the memory has. */
const outside = 2 ** 30

test('WorkerPool: a worker that dies rejects the batch and all later ones with RunError instead of hanging', async () => {
  const pool = await openPool(2)
  const fatal = pool.run('diagonal', [
    [outside, outside, 1, 0],
    [outside, outside, 1, 0],
  ])
  await expect(fatal).rejects.toThrow(RunError)
  await expect(fatal).rejects.toThrow(/memory access out of bounds/)
  await expect(pool.run('diagonal', [[outside, outside, 1, 0]])).rejects.toThrow(RunError)
  await pool.close()
})

test('WorkerPool.run names a kernel that the module does not have', async () => {
  const pool = await openPool(1)
  await expect(pool.run('polish', [[]])).rejects.toThrow(/does not export it/)
  await pool.close()
})

test('WorkerPool.close rejects what is running and what comes later', async () => {
  const pool = await openPool(2)
  const running = expect(pool.run('panels', [[0, 0, 1, 0, 0, 0]])).rejects.toThrow(/the pool was closed/)
  await pool.close()
  await running
  await expect(pool.run('panels', [])).rejects.toThrow(RunError)
})

test('WorkerPool.run gives results in the order of the calls, more calls than lanes', async () => {
  const pool = await openPool(2)
  await expect(pool.run('panels', [])).resolves.toEqual([])
  // Of one tile each, from the second half of page 0 on, which starts out zeroed: a zero tile is not positive definite, an empty range of
  // panels is fine.
  const tile = 32768
  const mixed = Array.from({ length: 20 }, (_, i) => (i % 3 === 0 ? [tile, 0, 1, 0] : [tile, 0, 0, 0]))
  expect(await pool.run('diagonal', mixed)).toEqual(new Array(20).fill(0))
  expect(await pool.run('panels', new Array(20).fill([tile, 0, 1, 0, 0, 0]))).toEqual(new Array(20).fill(1))
  await pool.close()
})

test('openKernels: idle workers do not keep the process, a running call does', async () => {
  const program = `
    import { openKernels } from ${JSON.stringify(new URL('../../dist/kernels/open.js', import.meta.url).href)}
    const kernels = await openKernels({ threads: 2 })
    console.log((await kernels.inverseFactor(Float32Array.of(4), 1))[0])
  `
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { timeout: 30_000 })
  expect(stdout).toBe('0.5\n')
})

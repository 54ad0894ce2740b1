import { randomUUID } from 'node:crypto'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { UserError } from '../util/errors.ts'

/** Who holds a lock file. */
interface Holder {
  /** Tells apart runs of one process. */
  readonly run: string
  readonly pid: number
  readonly host: string
  /** When the process started, in ticks since boot; null where /proc does not say. A pid that is used again has another. */
  readonly started: string | null
}

/** A lock file that this run holds. */
export interface Lock {
  /** False once the file is gone or another run's. */
  isHeld(): Promise<boolean>
  /** Removes the file, unless it is no longer this run's. */
  release(): Promise<void>
}

/**
 * Takes a lock file, so that two runs never write to one folder. A lock whose process is gone is taken over. Errors: UserError naming the process that holds it.
 */
export async function lockFile(path: string, subject: string): Promise<Lock> {
  const own: Holder = { run: randomUUID(), pid: process.pid, host: hostname(), started: await startOf(process.pid) }
  if (await create(path, own)) return held(path, own)
  const holder = await read(path)
  if (holder && (await isAlive(holder))) throw taken(subject, holder)
  // The dead lock is moved away, not removed: of two runs that find it only one can, and one that moved a new lock instead sees it.
  const moved = `${path}.${own.run}`
  await rename(path, moved).catch(absent)
  const found = await read(moved)
  if (found && found.run !== holder?.run) await link(moved, path).catch(absent)
  await rm(moved, { force: true })
  if (await create(path, own)) return held(path, own)
  throw taken(subject, (await read(path)) ?? own)
}

function held(path: string, { run }: Holder): Lock {
  const isHeld = async () => (await read(path))?.run === run
  return {
    isHeld,
    async release() {
      if (await isHeld()) await rm(path, { force: true })
    },
  }
}

function absent(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error
}

function taken(subject: string, { pid, host }: Holder): UserError {
  return new UserError(`Cannot write ${subject}: another run (process ${pid} on ${host}) is writing there, expected one at a time.`)
}

/** Makes the lock with its content at once: written beside it, then linked, which fails where there is one. */
async function create(path: string, holder: Holder): Promise<boolean> {
  const draft = `${path}.${holder.run}.new`
  await writeFile(draft, JSON.stringify(holder))
  try {
    await link(draft, path)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return false
    // File systems without hard links: the content then comes a moment after the name.
    if (code === 'EPERM' || code === 'ENOTSUP' || code === 'ENOSYS') return createPlainly(path, holder)
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}

async function createPlainly(path: string, holder: Holder): Promise<boolean> {
  try {
    await writeFile(path, JSON.stringify(holder), { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** The holder of a lock, or null for a file that is gone or was not written to the end. */
async function read(path: string): Promise<Holder | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Holder
  } catch {
    return null
  }
}

/** On another host it cannot be known: there the lock counts. */
async function isAlive({ pid, host, started }: Holder): Promise<boolean> {
  if (host !== hostname()) return true
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  const now = await startOf(pid)
  return started === null || now === null || started === now
}

/** Field 22 of /proc/PID/stat (proc(5)): start time. The second field, the name in brackets, may hold anything. */
async function startOf(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}

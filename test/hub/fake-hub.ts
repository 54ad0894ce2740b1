import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One request, for tests to look at. */
export interface Seen {
  method: string
  path: string
  /** Where the request was sent to: the hub, or the store behind it. */
  host: string | undefined
  range: string | undefined
  authorization: string | undefined
}

/**
 * What goes wrong with a request: a connection that is reset before an answer, a status, headers that differ, bytes after which the
 * connection breaks; undefined: nothing.
 */
export type Fault =
  | { reset?: boolean; status?: number; headers?: Record<string, string>; dropAfter?: number; body?: Buffer; ignoreRange?: boolean }
  | undefined

export interface FakeHub {
  url: string
  seen: Seen[]
  /** Files of each repository, by `models/org/name` or `datasets/org/name`. */
  repos: Map<string, Record<string, Buffer>>
  /** Those of them that only their owners may see. */
  private: Set<string>
  /** Titles of the commits that were pushed. */
  commits: string[]
  /** Large files that were uploaded, by SHA-256. */
  uploads: Map<string, Buffer>
  /** Offers large files by the Xet protocol to clients that ask for it, as the hub does. */
  xet: boolean
  /** Asked at each request for a file's content. */
  fault: (seen: Seen) => Fault
  close(): Promise<void>
}

/** Files of that size and more are stored as large files: named by SHA-256, and served by another address. */
const LARGE = 1000

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
/** Of git's blob object. */
const gitSha1 = (bytes: Buffer) => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')

/** The name of a file's blob in the cache. */
export function etagOf(bytes: Buffer): string {
  return bytes.length >= LARGE ? sha256(bytes) : gitSha1(bytes)
}

/** The commit of a repository: any change of its files gives another. */
export function commitOf(files: Record<string, Buffer>): string {
  const hash = createHash('sha1')
  for (const name of Object.keys(files).sort()) hash.update(`${name}\0${etagOf(files[name])}\n`)
  return hash.digest('hex')
}

/** A server on this machine that speaks the part of the hub's API that downloads need: info, tree, resolve with redirects and ranges. */
export async function startFakeHub(port = 0): Promise<FakeHub> {
  const hub: FakeHub = {
    url: '',
    seen: [],
    repos: new Map(),
    private: new Set(),
    commits: [],
    uploads: new Map(),
    xet: false,
    fault: () => undefined,
    close: async () => {},
  }
  const server = createServer((request, response) => answer(hub, request, response))
  await new Promise<void>((done) => server.listen(port, '127.0.0.1', done))
  hub.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  hub.close = () =>
    new Promise((done) => {
      server.close(() => done())
      server.closeAllConnections()
    })
  return hub
}

function answer(hub: FakeHub, request: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(request.url ?? '/', hub.url)
  const { host, range, authorization } = request.headers
  const seen: Seen = { method: request.method ?? 'GET', path: decodeURIComponent(pathname), host, range, authorization }
  hub.seen.push(seen)
  const fault = hub.fault(seen)
  if (fault?.reset) {
    request.socket.resetAndDestroy()
    return
  }
  if (fault?.status) {
    response.writeHead(fault.status, fault.headers).end(fault.body)
    return
  }
  if (request.method === 'POST' || request.method === 'PUT') {
    takePush(hub, seen.path, request, response)
    return
  }
  const api = /^\/api\/(models|datasets)\/([^/]+\/[^/]+)\/(revision|tree)\/(.+)$/.exec(seen.path)
  const file = /^\/(datasets\/)?([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(seen.path)
  const stored = /^\/cdn\/([0-9a-f]{64})$/.exec(seen.path)
  const content = stored && [...hub.repos.values()].flatMap((files) => Object.values(files)).find((bytes) => sha256(bytes) === stored[1])
  if (api) answerApi(hub, `${api[1]}/${api[2]}`, api[3], api[4], response)
  else if (file) answerFile(hub, `${file[1] ? 'datasets' : 'models'}/${file[2]}`, file[3], file[4], fault, request, response)
  // A store behind the hub has etags of its own.
  else if (content) sendBytes(content, { ETag: '"5d41402abc4b2a76b9719d911017c592-1"', ...fault?.headers }, fault, request, response)
  else response.writeHead(404).end()
}

/** The part of the API that pushes use: repositories, large files by the LFS protocol, commits as lines of JSON. */
async function takePush(hub: FakeHub, path: string, request: IncomingMessage, response: ServerResponse): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks)
  const send = (value: unknown, status = 200) =>
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value))
  if (request.headers.authorization !== 'Bearer hf_writer' && request.method === 'POST') return send({ error: 'Invalid token' }, 401)
  const stored = /^\/upload\/([0-9a-f]{64})$/.exec(path)
  if (stored) {
    hub.uploads.set(stored[1], body)
    return response.writeHead(sha256(body) === stored[1] ? 200 : 400).end()
  }
  if (path === '/api/repos/create') {
    const { name, organization, visibility } = JSON.parse(String(body)) as { name: string; organization: string; visibility?: string }
    const id = `models/${organization}/${name}`
    if (hub.repos.has(id)) return send({ error: 'You already created this model repo' }, 409)
    hub.repos.set(id, {})
    if (visibility === 'private') hub.private.add(id)
    return send({ url: `${hub.url}/${organization}/${name}`, id: `${organization}/${name}` })
  }
  const preupload = /^\/api\/models\/[^/]+\/[^/]+\/preupload\/main$/.test(path)
  const commit = /^\/api\/(models\/[^/]+\/[^/]+)\/commit\/main$/.exec(path)
  if (preupload) {
    const { files } = JSON.parse(String(body)) as { files: { path: string; size: number }[] }
    return send({ files: files.map((file) => ({ path: file.path, uploadMode: file.size >= LARGE ? 'lfs' : 'regular' })) })
  }
  if (path.endsWith('.git/info/lfs/objects/batch')) {
    const { objects } = JSON.parse(String(body)) as { objects: { oid: string; size: number }[] }
    const actions = (oid: string) => ({ upload: { href: `${hub.url}/upload/${oid}` } })
    return send({ transfer: 'basic', objects: objects.map(({ oid, size }) => ({ oid, size, actions: actions(oid) })) })
  }
  const files = commit && hub.repos.get(commit[1])
  if (!files) return send({ error: 'Repository not found' }, 404)
  type Line = { key: string; value: { summary?: string; path: string; content: string; oid: string } }
  for (const { key, value } of String(body)
    .split('\n')
    .map((line) => JSON.parse(line) as Line)) {
    if (key === 'header') hub.commits.push(value.summary ?? '')
    if (key === 'file') files[value.path] = Buffer.from(value.content, 'base64')
    if (key === 'lfsFile') files[value.path] = hub.uploads.get(value.oid) ?? Buffer.alloc(0)
  }
  return send({ commitOid: commitOf(files), commitUrl: `${hub.url}/commit`, hookOutput: '' })
}

function lookUp(hub: FakeHub, repo: string, revision: string, response: ServerResponse): Record<string, Buffer> | null {
  const files = hub.repos.get(repo)
  if (!files) {
    response.writeHead(401, { 'X-Error-Code': 'RepoNotFound', 'Content-Type': 'application/json' }).end('{"error":"Repository not found"}')
    return null
  }
  if (revision === 'main' || revision === 'HEAD' || revision === commitOf(files)) return files
  response.writeHead(404, { 'X-Error-Code': 'RevisionNotFound', 'Content-Type': 'application/json' }).end('{"error":"Invalid rev id"}')
  return null
}

function answerApi(hub: FakeHub, repo: string, what: string, revision: string, response: ServerResponse): void {
  const files = lookUp(hub, repo, revision, response)
  if (!files) return
  const id = repo.replace(/^[^/]+\//, '')
  const tree = Object.entries(files).map(([path, bytes]) => ({
    type: 'file',
    path,
    size: bytes.length,
    oid: gitSha1(bytes),
    ...(bytes.length >= LARGE && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } }),
  }))
  const info = {
    _id: '1',
    id,
    sha: commitOf(files),
    private: hub.private.has(repo),
    gated: false,
    downloads: 0,
    likes: 0,
    lastModified: '2026-01-01T00:00:00.000Z',
  }
  const siblings = Object.keys(files).map((rfilename) => ({ rfilename }))
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(what === 'tree' ? tree : { ...info, siblings }))
}

function answerFile(
  hub: FakeHub,
  repo: string,
  revision: string,
  path: string,
  fault: Fault,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const files = lookUp(hub, repo, revision, response)
  if (!files) return
  const bytes = files[path]
  const commit = { 'X-Repo-Commit': commitOf(files) }
  if (!bytes) {
    response.writeHead(404, { 'X-Error-Code': 'EntryNotFound', ...commit }).end()
    return
  }
  const headers = { ...commit, ETag: `"${etagOf(bytes)}"`, ...fault?.headers }
  // Another host than the hub's, as it is in earnest: clients treat the two differently.
  const linked = { 'X-Linked-Size': String(bytes.length), 'X-Linked-ETag': `"${sha256(bytes)}"` }
  if (bytes.length < LARGE) sendBytes(bytes, headers, fault, request, response)
  else if (hub.xet && request.headers.accept?.includes('xet-fileinfo')) {
    const link = (name: string) => `<${hub.url}/${name}/${sha256(bytes)}>; rel="${name}"`
    const type = { 'Content-Type': 'application/vnd.xet-fileinfo+json', 'X-Xet-Hash': sha256(bytes) }
    response.writeHead(200, { ...commit, ...linked, ...type, Link: `${link('xet-auth')}, ${link('xet-reconstruction-info')}` }).end('{}')
  } else
    response.writeHead(302, { ...commit, ...linked, Location: `${hub.url.replace('127.0.0.1', 'localhost')}/cdn/${sha256(bytes)}` }).end()
}

function sendBytes(
  content: Buffer,
  headers: Record<string, string>,
  fault: Fault,
  { method, headers: { range } }: IncomingMessage,
  response: ServerResponse,
): void {
  const whole = fault?.body ?? content
  const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? []
  const ranged = range !== undefined && !fault?.ignoreRange
  const [start, end] = ranged ? [Number(from), to === '' ? whole.length : Math.min(whole.length, Number(to) + 1)] : [0, whole.length]
  const part = whole.subarray(start, end)
  response.writeHead(ranged ? 206 : 200, {
    'Accept-Ranges': 'bytes',
    'Content-Length': String(part.length),
    ...(ranged && { 'Content-Range': `bytes ${start}-${end - 1}/${whole.length}` }),
    ...headers,
  })
  if (method === 'HEAD') response.end()
  else if (fault?.dropAfter === undefined || part.length <= fault.dropAfter) response.end(part)
  else response.write(part.subarray(0, fault.dropAfter), () => setTimeout(() => response.destroy(), 20))
}

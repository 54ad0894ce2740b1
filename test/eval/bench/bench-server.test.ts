import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { benchServer } from '../../../src/eval/bench/bench-server.ts'
import { RunError, UserError } from '../../../src/util/errors.ts'
import { isBenchResult } from './bench-schema.ts'

let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

type Answer = (body: { prompt: string; max_tokens: number; model: string }, response: ServerResponse) => void | Promise<void>

/** A server that lists one model and answers completions with `answer`; gives its address. */
async function serve(answer: Answer): Promise<string> {
  server = createServer(async (request: IncomingMessage, response) => {
    if (request.url === '/v1/models') {
      response.end(JSON.stringify({ data: [{ id: 'the-model' }] }))
      return
    }
    let text = ''
    for await (const part of request) text += part
    await answer(JSON.parse(text), response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const event = (document: unknown) => `data: ${JSON.stringify(document)}\n\n`

/** As vLLM streams: a piece a token, then the usage. */
const stream: Answer = async ({ max_tokens: tokens }, response) => {
  for (let i = 0; i < tokens; i++) {
    // Cut where no line ends.
    const text = event({ choices: [{ text: ' word' }] })
    response.write(text.slice(0, 9))
    await new Promise((resolve) => setTimeout(resolve, 1))
    response.write(text.slice(9))
  }
  response.end(`${event({ choices: [], usage: { completion_tokens: tokens } })}data: [DONE]\n\n`)
}

describe('benchServer', () => {
  test('asks for the prompts one after the other, then at once, and counts their tokens', async () => {
    const asked: string[] = []
    let open = 0
    let most = 0
    const url = await serve(async (body, response) => {
      asked.push(body.prompt)
      most = Math.max(most, ++open)
      await stream(body, response)
      open--
    })
    const found = await benchServer(`${url}/v1/`, { prompts: ['a', 'b', 'c'], maxNewTokens: 4 })
    expect(asked.slice(0, 4)).toEqual(['a', 'a', 'b', 'c'])
    expect(asked.slice(4).sort()).toEqual(['a', 'b', 'c'])
    expect(most).toBe(3)
    expect(found).toMatchObject({ model: 'the-model', runs_on: `${url}/v1`, sequential: { tokens: 12 }, batch: { size: 3, tokens: 12 } })
    expect(await isBenchResult(found)).toBe(true)
    expect(found.sequential.first_token.max).toBeLessThan(found.sequential.latency.max)
  })

  test.each<[string, Answer, RegExp]>([
    ['refuses', (_, response) => void response.writeHead(503).end('busy'), /the server answered 503: busy, expected 200/],
    ['breaks off', (_, response) => void response.write('data: {"cho', () => response.destroy()), /cannot be reached, or broke off/],
    ['writes no JSON', (_, response) => void response.end('data: {oops\n\n'), /an event of its stream is no JSON/],
    ['says an error', (_, response) => void response.end(event({ error: { message: 'too long' } })), /the server says .*too long/],
    ['writes nothing', (_, response) => void response.end('data: [DONE]\n\n'), /wrote no token/],
  ])('a server that %s is an error in words', async (_, answer, message) => {
    const url = await serve(answer)
    const failure = benchServer(url, { maxNewTokens: 2 })
    await expect(failure).rejects.toThrow(RunError)
    await expect(failure).rejects.toThrow(message)
  })

  test('a server that stalls is given up after the timeout', async () => {
    const url = await serve(() => {})
    await expect(benchServer(url, { timeout: 1 })).rejects.toThrow(/no answer within 1 s/)
  })

  test('what was measured is kept where later requests fail, and no more are made', async () => {
    let answered = 0
    const url = await serve((body, response) =>
      ++answered <= 4 ? stream(body, response) : void response.writeHead(500).end('out of memory'),
    )
    const found = await benchServer(url, { prompts: ['a', 'b', 'c'], maxNewTokens: 2 })
    expect(found).toMatchObject({ sequential: { tokens: 6 }, batch: null })
    expect(found.errors).toHaveLength(3)
    expect(found.errors[0]).toMatch(/the server answered 500: out of memory/)
    expect(await isBenchResult(found)).toBe(true)
    answered = 2
    const early = await benchServer(url, { prompts: ['a', 'b', 'c'], maxNewTokens: 2 })
    expect(early).toMatchObject({ sequential: { tokens: 2 }, batch: null, errors: [expect.stringMatching(/500/)] })
    expect(answered).toBe(5)
  })

  test('a key is sent as a bearer token', async () => {
    const seen: unknown[] = []
    const url = await serve(stream)
    server?.prependListener('request', ({ headers }: IncomingMessage) => seen.push(headers.authorization))
    await benchServer(url, { prompts: ['a'], maxNewTokens: 1, apiKey: 'secret' })
    expect(seen).toEqual(Array.from({ length: 4 }, () => 'Bearer secret'))
  })

  test('no server, and no address', async () => {
    await expect(benchServer('http://127.0.0.1:9')).rejects.toThrow(/the server cannot be reached/)
    await expect(benchServer('localhost')).rejects.toThrow(UserError)
  })

  test('a signal stops it with its reason', async () => {
    const url = await serve(() => {})
    const reason = new Error('enough')
    await expect(benchServer(url, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})

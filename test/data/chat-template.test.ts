import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadChatTemplate } from '../../src/data/chat-template.ts'
import { DataError } from '../../src/util/errors.ts'
import { temporaryFolder } from '../checkpoint/folders.ts'

// Made by chats/make_chats.py with transformers 5.17.
interface Golden {
  templates: Record<string, string>
  chats: Record<string, { role: string; content: string }[]>
  /** Null where the template refuses. */
  rendered: Record<string, Record<string, string | null>>
  specials: Record<string, { config: object; map: object; template: string; text: string }>
}
const golden = JSON.parse(await readFile('test/data/chats/chats.json', 'utf8')) as Golden
const cases = Object.entries(golden.rendered).flatMap(([name, chats]) =>
  Object.entries(chats).map(([chat, text]) => ({ name, chat, text })),
)

const CONFIG = { bos_token: '<s>', eos_token: { content: '</s>', lstrip: false } }
const hello = [{ role: 'user', content: 'Hi' }]

describe('loadChatTemplate()', () => {
  test.each(cases)('renders a conversation ($chat) by the template "$name" as transformers does', async ({ name, chat, text }) => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'chat_template.jinja'), golden.templates[name])
    const render = await loadChatTemplate(folder, CONFIG)
    if (text !== null) expect(render?.(golden.chats[chat], 'row 1')).toBe(text)
    else expect(() => render?.(golden.chats[chat], 'row 1')).toThrow(/Cannot render row 1 .*roles must alternate/)
  })

  test('finds a template in tokenizer_config.json, alone or by the name default, and in chat_template.json', async () => {
    const folder = await temporaryFolder()
    const rendered = async (config: object) => (await loadChatTemplate(folder, { ...CONFIG, ...config }))?.(hello, 'row 1')
    expect(await rendered({ chat_template: '{{ bos_token }}a' })).toBe('<s>a')
    const named = ['tool_use', 'default'].map((name) => ({ name, template: name }))
    expect(await rendered({ chat_template: named })).toBe('default')
    expect(await rendered({})).toBeUndefined()
    await writeFile(join(folder, 'chat_template.json'), '{"chat_template": "b{{ eos_token }}"}')
    expect(await rendered({})).toBe('b</s>')
    await writeFile(join(folder, 'chat_template.jinja'), 'c')
    expect(await rendered({ chat_template: 'a' })).toBe('c')
  })

  test.each(Object.keys(golden.specials))('takes special tokens %s from where transformers does', async (name) => {
    const { config, map, template, text } = golden.specials[name]
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'chat_template.jinja'), template)
    await writeFile(join(folder, 'special_tokens_map.json'), JSON.stringify(map))
    expect((await loadChatTemplate(folder, { ...config }))?.(hello, 'row 1')).toBe(text)
  })

  test('refuses a template that prints what Python prints with an address', async () => {
    const render = await loadChatTemplate(await temporaryFolder(), { chat_template: '{{ range }}' })
    expect(() => render?.(hello, 'row 1')).toThrow(/Cannot render row 1 .*it prints a function/)
  })

  test('gives every conversation the same date, today and tomorrow', async () => {
    const render = await loadChatTemplate(await temporaryFolder(), { chat_template: "{{ strftime_now('%d %b %Y|%Y-%m-%d|%A, %B') }}" })
    expect(render?.(hello, 'row 1')).toBe('26 Jul 2024|2024-07-26|Friday, July')
  })

  test('refuses what is no template, naming its file', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'chat_template.jinja'), '{% for %}')
    const failure = loadChatTemplate(folder, {})
    await expect(failure).rejects.toThrow(DataError)
    await expect(failure).rejects.toThrow(/Cannot read the chat template of .*chat_template\.jinja/)
  })
})

// Opens the reports of two runs, and a study, in Chromium (CONFORMANCE_CHROMIUM): figures drawn, clicks answered, both themes, a phone, no errors, no requests;
// and runs the command line in a terminal of tmux. CONFORMANCE_WORK is a folder to work in. Lines as conformance.js has them.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { chromium } from 'playwright-core'

/** @import { Page } from 'playwright-core' */

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CLI = join(ROOT, 'dist', 'cli', 'main.js')
const MODEL = join(ROOT, 'examples', 'models', 'docs-llama-4m')
const work = process.env.CONFORMANCE_WORK ?? process.cwd()

/**
 * @param {boolean} good
 * @param {string} what
 */
function check(good, what) {
  console.log(`${good ? 'ok' : 'not ok'} report: ${what}`)
}

/** @param {string[]} args */
function llmpress(...args) {
  return execFileSync(process.execPath, [CLI, ...args], { encoding: 'utf8', cwd: work, env: { ...process.env, NO_COLOR: '1' } })
}

const WIDE = { viewport: { width: 1200, height: 900 }, colorScheme: /** @type {const} */ ('light') }
const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, colorScheme: /** @type {const} */ ('dark') }

/**
 * Opens a page as somebody with that screen does, and lets `look` judge it. Whatever it says on the console or asks of a server is a fault.
 * @param {string} file
 * @param {typeof WIDE | typeof PHONE} screen
 * @param {string} what
 * @param {(page: Page) => Promise<void>} look
 */
async function open(file, screen, what, look) {
  const context = await browser.newContext(screen)
  const page = await context.newPage()
  /** @type {string[]} */
  const faults = []
  page.on('console', (message) => faults.push(message.text()))
  page.on('pageerror', (error) => faults.push(error.message))
  page.on('request', (request) => {
    if (request.url() !== pathToFileURL(file).href) faults.push(`asked for ${request.url().slice(0, 80)}`)
  })
  await page.goto(pathToFileURL(file).href)
  await page.waitForSelector('html[data-ready]', { timeout: 30_000 })
  await look(page)
  const excess = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
  check(Number(excess) <= 0, `${what}: nothing is wider than the screen (${excess})`)
  check(faults.length === 0, `${what}: no word on the console, no request${faults.map((fault) => `; ${fault}`).join('')}`)
  await context.close()
}

/**
 * The figures that are to be seen, and those among them without a drawing.
 * @param {Page} page
 */
async function figures(page) {
  const shown = page.locator('figure[data-figure]:visible')
  const ids = await shown.evaluateAll((all) => all.map((figure) => figure.getAttribute('data-figure') ?? ''))
  const empty = await shown.evaluateAll((all) =>
    all
      .filter((figure) => (figure.querySelectorAll('.chart svg path').length ?? 0) < 2)
      .map((figure) => figure.getAttribute('data-figure')),
  )
  return { ids, empty }
}

/**
 * The middle of the last cell of the map of errors: cells are those paths of which most have one size.
 * @param {Page} page
 */
async function cellOf(page) {
  await page.locator('[data-figure="errors"]').scrollIntoViewIfNeeded()
  const boxes = await page
    .locator('[data-figure="errors"] svg path')
    .evaluateAll((paths) => paths.map((path) => path.getBoundingClientRect()).map(({ x, y, width, height }) => ({ x, y, width, height })))
  const sizes = boxes.map(({ width, height }) => `${Math.round(width)} ${Math.round(height)}`)
  const most = [...new Set(sizes)].sort((a, b) => sizes.filter((size) => size === b).length - sizes.filter((size) => size === a).length)[0]
  const { x, y, width, height } = boxes[sizes.lastIndexOf(most)]
  return [x + width / 2, y + height / 2]
}

const rtn = join(work, 'report-rtn')
const gptq = join(work, 'report-gptq')
const comparison = join(work, 'comparison.html')
const rows = ['--num-calibration-samples', '16', '--max-seq-length', '64', '--engine', 'wasm', '--quiet']
llmpress('oneshot', MODEL, '-r', 'rtn-w4a16', '-o', rtn, '--quiet')
llmpress('oneshot', MODEL, '-r', 'gptq-w4a16', '-o', gptq, ...rows)
llmpress('report', rtn, gptq, '-o', comparison)
const study = join(work, 'study')
llmpress('study', MODEL, '--windows', '2', '--engine', 'wasm', '--quiet', '-o', study)

const browser = await chromium.launch({ executablePath: process.env.CONFORMANCE_CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
try {
  await open(join(gptq, 'report.html'), WIDE, 'wide, light', async (page) => {
    const { ids, empty } = await figures(page)
    check(
      ids.join() === 'size,errors,weights,channels,gain,ranges,outliers' && empty.length === 0,
      `all figures are drawn (${ids.join()}; empty: ${empty.join() || 'none'})`,
    )
    const select = page.getByLabel('Linear', { exact: true })
    const before = await select.inputValue()
    const drawing = () => page.locator('[data-figure="weights"] svg').innerHTML()
    const first = await drawing()
    const [x, y] = await cellOf(page)
    await page.mouse.click(x, y)
    const after = await select.inputValue()
    check(before !== after && first !== (await drawing()), `a click on a cell shows its linear and histogram (${before}, then ${after})`)
    await page.getByLabel('logarithmic counts').check()
    const logarithmic = await drawing()
    check(first !== logarithmic, 'counts can be logarithmic')
    await page.getByRole('button', { name: 'Previous linear' }).click()
    check((await select.inputValue()) !== after, 'the buttons go from one linear to the next')
    const ground = () => page.evaluate('getComputedStyle(document.body).backgroundColor')
    const light = await ground()
    await page.getByRole('button', { name: 'Dark' }).click()
    check(light !== (await ground()), 'the button makes it dark')
    check((await figures(page)).empty.length === 0, 'figures are drawn again in the dark')
    await page.locator('[data-figure="errors"] summary').click()
    await page.locator('[data-figure="errors"] button[data-linear]').first().click()
    check((await select.inputValue()) !== after, 'names in the table can be clicked')
  })
  await open(join(rtn, 'report.html'), PHONE, 'phone, dark', async (page) => {
    const { ids, empty } = await figures(page)
    check(
      ids.join() === 'size,errors,weights' && empty.length === 0,
      `all figures of a run without data are drawn on a phone (${ids.join()}; empty: ${empty.join() || 'none'})`,
    )
    check((await page.evaluate('document.documentElement.dataset.theme')) === 'dark', 'it is dark where the system is')
  })
  for (const [screen, what] of /** @type {const} */ ([
    [WIDE, 'study'],
    [PHONE, 'study on a phone'],
  ])) {
    await open(join(study, 'study.html'), screen, what, async (page) => {
      const { ids, empty } = await figures(page)
      check(
        ids.join() === 'histogram,sizes' && empty.length === 0,
        `${what}: histograms and sizes are drawn (${ids.join()}; empty: ${empty.join() || 'none'})`,
      )
      const text = await page.locator('[data-figure="histogram"] svg').textContent()
      check(
        ['original against absmax', 'original against zero-point', 'Weight values'].every((label) => text?.includes(label)),
        `${what}: two panels are named`,
      )
      check((await page.locator('.samples h3').allTextContents()).join() === 'original,absmax,zero-point', `${what}: three texts`)
      await page.locator('button.theme').click()
      check((await figures(page)).empty.length === 0, `${what}: figures are drawn again in the other theme`)
    })
  }
  for (const [screen, what] of /** @type {const} */ ([
    [WIDE, 'comparison'],
    [PHONE, 'comparison on a phone'],
  ])) {
    await open(comparison, screen, what, async (page) => {
      await page.getByRole('tab', { name: 'report-gptq' }).click()
      const { ids, empty } = await figures(page)
      check(
        ids.slice(0, 4).join() === 'compare-size,compare-errors,compare-kinds,size' && ids.includes('channels') && empty.length === 0,
        `${what}: the figures of the run that is chosen are drawn (${ids.join()}; empty: ${empty.join() || 'none'})`,
      )
    })
  }
} finally {
  await browser.close()
}

// A terminal.
const socket = `llmpress-${process.pid}`
/** @param {string[]} args */
const tmux = (...args) => spawnSync('tmux', ['-L', socket, ...args], { encoding: 'utf8' }).stdout

/**
 * Runs a compression in a terminal; gives all that was on its screen, colours and all, as often as it could be read.
 * @param {string} name
 * @param {string} setting
 */
async function inTerminal(name, setting) {
  const done = join(work, `${name}.done`)
  const script = join(work, `${name}.sh`)
  const args = ['oneshot', MODEL, '-r', 'gptq-w4a16', '-o', join(work, name), ...rows.slice(0, -1)]
  const command = [process.execPath, CLI, ...args].map((word) => `'${word}'`).join(' ')
  writeFileSync(script, `env -u CI -u NO_COLOR -u FORCE_COLOR ${setting} ${command} > /dev/null; touch '${done}'; sleep 2\n`)
  tmux('new-session', '-d', '-x', '100', '-y', '30', `sh '${script}'`)
  let screens = ''
  for (let i = 0; i < 2400 && !existsSync(done); i++) {
    screens += tmux('capture-pane', '-p', '-e')
    await setTimeout(50)
  }
  await setTimeout(200)
  const last = tmux('capture-pane', '-p')
  tmux('kill-server')
  return { screens, last }
}

const { screens, last } = await inTerminal('terminal', 'TERM=screen-256color')
const plain = stripVTControlCharacters(screens)
check(
  /█+░+ \d+% {2}[\d.]+ (s|min[ \d]+s) to go {2}model\.layers\.\d · \S+ (inputs|output) {2}error [\d.]+ %/.test(plain),
  `a terminal has one bar with time to go, layer, stage and error (${/.*to go.*/.exec(plain)?.[0].trim()})`,
)
check(screens.includes('\u001b[3'), 'it has colours')
check(!/layer 1\/\d/.test(plain) && !last.includes('█'), 'there are no lines for layers, and the bar is gone at the end')
const { screens: colourless } = await inTerminal('terminal-plain', 'TERM=screen-256color NO_COLOR=1')
check(colourless.includes('█') && !colourless.includes('\u001b[3'), 'NO_COLOR: the bar without colours')

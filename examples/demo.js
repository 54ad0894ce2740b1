// `npm run demo`: compresses the shipped model with GPTQ to 4 bits on the best engine there is, and scores it
// before and after.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const path = (/** @type {string} */ name) => relative(process.cwd(), fileURLToPath(new URL(`../${name}`, import.meta.url)))

if (!existsSync(path('dist/cli/main.js'))) {
  console.error('Cannot run the demo: dist/ is missing. Run `npm ci` first, or `npm run build` after a change.')
  process.exit(1)
}
const { oneshot, perplexity } = await import('../dist/index.js')
const { openDisplay } = await import('../dist/cli/display.js')
const { exitCodeOf, messageOf } = await import('../dist/cli/exit.js')
const { interruptible } = await import('../dist/cli/interrupt.js')
const { layerProgress, runProgress } = await import('../dist/cli/progress.js')
const { closingReport } = await import('../dist/cli/tables.js')

const model = path('examples/models/docs-llama-4m')
const output = 'docs-llama-4m-gptq-w4a16'
const text = { dataset: path('data/docs-text/eval.txt'), window: 256, windows: 96 }
const display = openDisplay({ quiet: false })

/**
 * Scores a checkpoint in a process of its own: the wasm engine has one thread, so two scores at a time take half as long.
 * @param {string} checkpoint
 * @param {AbortSignal} signal
 */
async function scoreBeside(checkpoint, signal) {
  const flags = ['--perplexity', text.dataset, '--window', `${text.window}`, '--windows', `${text.windows}`, '--quiet', '--json']
  const { stdout } = await promisify(execFile)(process.execPath, [path('dist/cli/main.js'), 'eval', checkpoint, ...flags], { signal })
  return JSON.parse(stdout)
}

try {
  await interruptible(async (signal) => {
    const record = await oneshot(model, path('recipes/gptq-w4a16.yaml'), {
      output,
      overwrite: true,
      numCalibrationSamples: 64,
      maxSeqLength: 256,
      signal,
      onProgress: runProgress(display),
    })
    const onLayer = layerProgress(display, 'perplexity before and after')
    const [before, after] = await Promise.all([scoreBeside(model, signal), perplexity(output, { ...text, signal, onLayer })])
    display.stop()
    console.log(`\n${closingReport(record, { before, after })}`)
  })
} catch (error) {
  display.stop()
  console.error(messageOf(error, { debug: process.argv.includes('--debug') }))
  process.exitCode = exitCodeOf(error)
}

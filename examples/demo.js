// `npm run demo`: compresses the shipped model with GPTQ to 4 bits on the best engine there is, and scores it
// before and after.
import { existsSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

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
const text = { dataset: 'docs-text', window: 256, windows: 32 }
const display = openDisplay({ quiet: false })

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
    const before = await perplexity(model, { ...text, signal, onLayer: layerProgress(display, 'perplexity before') })
    const after = await perplexity(output, { ...text, signal, onLayer: layerProgress(display, 'perplexity after') })
    display.stop()
    console.log(`\n${closingReport(record, { before, after })}`)
  })
} catch (error) {
  display.stop()
  console.error(messageOf(error, { debug: process.argv.includes('--debug') }))
  process.exitCode = exitCodeOf(error)
}

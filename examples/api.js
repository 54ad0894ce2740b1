// Compresses a model from a program: node examples/api.js [model folder] [output folder]
import { fileURLToPath } from 'node:url'
import { oneshot, RunError, UserError } from 'llmpress'

const shipped = fileURLToPath(new URL('models/docs-llama-4m', import.meta.url))
const [model = shipped, output = 'out/api-example'] = process.argv.slice(2)
const abort = new AbortController()
process.once('SIGINT', () => abort.abort())

try {
  const record = await oneshot({
    model,
    // A path, the name of a shipped recipe, a preset, YAML text, or an object like this one.
    recipe: { modifiers: { GPTQModifier: { targets: ['Linear'], ignore: ['lm_head'], scheme: 'W4A16' } } },
    output,
    overwrite: true,
    // A built-in name, a file, an array of strings, or rows of token ids.
    dataset: 'docs-text',
    numCalibrationSamples: 16,
    maxSeqLength: 256,
    signal: abort.signal,
    onProgress(event) {
      if (event.type === 'layer:done') console.error(`${event.name}: ${event.seconds.toFixed(1)} s, ${event.etaSeconds.toFixed(1)} s to go`)
      if (event.type === 'warning') console.error(event.message)
    },
  })
  const worst = record.linears.reduce((a, b) => (b.error > a.error ? b : a))
  console.log(`${record.size.before} -> ${record.size.after} bytes in ${record.output}`)
  console.log(
    `largest error: ${worst.name}, ${(100 * worst.error).toFixed(2)} % (plain rounding: ${(100 * (worst.rtnError ?? 0)).toFixed(2)} %)`,
  )
} catch (error) {
  if (abort.signal.aborted) console.error('Stopped: nothing that looks like a checkpoint was left.')
  else if (error instanceof UserError || error instanceof RunError) console.error(error.message)
  else throw error
  process.exitCode = 1
}

import { match } from 'ts-pattern'
import type { OnProgress, ProgressEvent } from '../oneshot/events.ts'
import { colorsFor } from './colors.ts'
import type { Display } from './display.ts'
import { formatBytes, formatCount, formatPercent, formatSeconds, plural } from './format.ts'

/** Turns the events of a run into what a display shows. `now` in milliseconds. */
export function runProgress(display: Display, now: () => number = () => performance.now()): OnProgress {
  const { yellow } = colorsFor(process.stderr)
  const warn = (text: string) => display.say(`${yellow('warning:')} ${text}`)
  let total = 0
  let done = 0
  let resumed = 0
  let label = ''
  let uploading = false
  let found = false
  let started: number | null = null
  let layersSeconds = 0
  let result = ''
  let layerErrors: number[] = []
  const show = () => {
    const elapsed = started === null ? 0 : (now() - started) / 1000
    display.show({ done, total, label, etaSeconds: done > resumed ? (elapsed / (done - resumed)) * (total - done) : null, result })
  }
  return (event: ProgressEvent) =>
    match(event)
      .with({ type: 'plan' }, ({ model, output, layers, linears }) => {
        total = linears
        display.say(`${model}: ${plural(linears, 'linear')} in ${plural(layers, 'layer')} to compress into ${output}`)
      })
      .with({ type: 'data' }, ({ source, rows, tokens }) => {
        display.say(`data: ${source}, ${plural(rows, 'row')}, ${formatCount(tokens)} tokens`)
      })
      .with({ type: 'scratch' }, ({ path, bytes }) => {
        display.say(`memory: rows do not fit, they wait in ${path} (about ${formatBytes(bytes)} while the run goes on)`)
      })
      .with({ type: 'engine' }, ({ name, detail }) => display.say(`engine: ${name}, ${detail}`))
      .with({ type: 'upload' }, ({ repo, sent, total: bytes }) => {
        if (!uploading) display.log(`pushing ${formatBytes(bytes)} to ${repo}`)
        uploading = true
        display.show({ done: sent, total: bytes, label: `pushing to ${repo}`, etaSeconds: null })
      })
      .with({ type: 'resume' }, ({ layers, of, linears }) => {
        resumed = linears
        done = linears
        display.say(`going on after layer ${layers} of ${of}, where a run was stopped`)
      })
      .with({ type: 'found' }, ({ output }) => {
        found = true
        display.say(`${output} has the result of this very run already, whole: nothing to compute (--overwrite does it again)`)
      })
      .with({ type: 'warning' }, ({ message }) => warn(message))
      .with({ type: 'layer:start' }, () => {
        started ??= now()
      })
      .with({ type: 'stage' }, ({ layer, stage }) => {
        label = `${layer} · ${stage}`
        show()
      })
      .with({ type: 'linear' }, ({ report }) => {
        done++
        result = `error ${formatPercent(report.error)}`
        layerErrors.push(report.error)
        if (report.fallback) warn(`${report.name}: ${report.fallback}`)
        show()
      })
      .with({ type: 'layer:done' }, ({ name, index, of, seconds, etaSeconds }) => {
        const own = seconds - layersSeconds
        layersSeconds = seconds
        const rest = index + 1 < of ? `, about ${formatSeconds(etaSeconds)} to go` : ''
        const mean = layerErrors.reduce((sum, error) => sum + error, 0) / layerErrors.length
        const error = layerErrors.length > 0 ? `, mean error ${formatPercent(mean)}` : ''
        layerErrors = []
        display.log(`layer ${index + 1}/${of} ${name}: ${formatSeconds(own)}${error}${rest}`)
      })
      .with({ type: 'done' }, ({ record }) => {
        display.stop()
        if (!found) display.log(`done in ${formatSeconds(record.seconds.total)}: ${formatBytes(record.size.after)} in ${record.output}`)
      })
      .exhaustive()
}

/** Shows one pass over a model's layers; call what it returns as each layer begins. `now` in milliseconds. */
export function layerProgress(
  display: Display,
  what: string,
  now: () => number = () => performance.now(),
): (layer: number, of: number) => void {
  const started = now()
  return (layer, of) => {
    const elapsed = (now() - started) / 1000
    const etaSeconds = layer > 0 ? (elapsed / layer) * (of - layer) : null
    display.show({ done: layer, total: of, label: `${what}, layer ${Math.min(layer + 1, of)} of ${of}`, etaSeconds })
    if (layer > 0) display.log(`${what}: layer ${layer}/${of}, ${formatSeconds(elapsed)}`)
  }
}

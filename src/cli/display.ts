import cliProgress from 'cli-progress'
import { colorsFor } from './colors.ts'
import { formatSeconds } from './format.ts'

/** How far something has come. */
export interface Standing {
  done: number
  total: number
  /** What is under way: `model.layers.3 · attention inputs`. */
  label: string
  /** Null while there is nothing to judge by. */
  etaSeconds: number | null
  /** What became of the last piece: `error 0.71 %`. */
  result?: string
}

/** Where progress is shown. */
export interface Display {
  /** A line that stays. */
  say(text: string): void
  /** A line for logs, where there is no bar to look at. */
  log(text: string): void
  /** Moves the bar, where there is one. */
  show(standing: Standing): void
  /** Takes the bar away. Call it on every way out. */
  stop(): void
}

export interface DisplayOptions {
  quiet: boolean
  stream?: NodeJS.WriteStream
  env?: NodeJS.ProcessEnv
}

/** A bar on a terminal; plain lines in files, pipes and CI, where a bar would be noise; nothing under --quiet. */
export function openDisplay({ quiet, stream = process.stderr, env = process.env }: DisplayOptions): Display {
  if (quiet) return { say: () => {}, log: () => {}, show: () => {}, stop: () => {} }
  return stream.isTTY && !env.CI ? barDisplay(stream) : lineDisplay(stream)
}

function lineDisplay(stream: NodeJS.WriteStream): Display {
  const write = (text: string) => {
    stream.write(`${text}\n`)
  }
  return { say: write, log: write, show: () => {}, stop: () => {} }
}

/** Columns that all but the bar takes for usual names. */
const BESIDE_BAR = 72

function barDisplay(stream: NodeJS.WriteStream): Display {
  const { cyan, dim } = colorsFor(stream)
  const bar = new cliProgress.SingleBar({
    stream,
    // What is cut off at the edge of a narrow terminal comes last.
    format: `${cyan('{bar}')} {percentage}%  ${dim('{eta_text}')}{label}  ${dim('{result}')}`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: Math.max(8, Math.min(24, (stream.columns ?? 80) - BESIDE_BAR)),
    fps: 8,
    hideCursor: false,
    clearOnComplete: true,
    // The command has its own handlers, which stop the bar.
    gracefulExit: false,
  })
  let last: Standing | null = null
  const draw = ({ done, total, label, etaSeconds, result = '' }: Standing) => {
    const payload = { label, result, eta_text: etaSeconds === null ? '' : `${formatSeconds(etaSeconds)} to go  ` }
    if (bar.isActive) {
      bar.setTotal(total)
      bar.update(done, payload)
    } else bar.start(total, done, payload)
  }
  return {
    say(text) {
      if (bar.isActive) bar.stop()
      stream.write(`${text}\n`)
      if (last) draw(last)
    },
    log: () => {},
    show(standing) {
      last = standing
      draw(standing)
    },
    stop() {
      last = null
      if (bar.isActive) bar.stop()
    },
  }
}

import { AsyncLocalStorage } from 'node:async_hooks'

const METHODS = ['log', 'info', 'warn', 'error'] as const

type Method = (typeof METHODS)[number]
type Line = { readonly method: Method; readonly args: unknown[] }

/** What tfjs says in the normal course of loading; anything else is passed on. */
const BANNERS = [
  /^Platform node has already been set/,
  /Hi, looks like you are running TensorFlow\.js in Node\.js/,
  /^The kernel '.*' for backend '.*' is already registered/,
  /backend was already registered/,
]

/** Which load a line belongs to. What the host program prints meanwhile belongs to none and is printed at once. */
const lines = new AsyncLocalStorage<Line[]>()

/** The console is one per process, so what stands in its place is counted: the first load puts it there, the last takes it away. */
const capture: { depth: number; restore: () => void } = { depth: 0, restore: () => {} }

/**
 * Runs `load` with the console held back. When it succeeds, tfjs's banners are dropped and every other line is printed after all;
 * when it throws, nothing is printed and the error travels on: its message says what matters. Loads may overlap.
 */
export async function captureConsole<T>(load: () => T | Promise<T>): Promise<T> {
  const held: Line[] = []
  if (capture.depth++ === 0) capture.restore = replaceConsole()
  let result: T
  try {
    result = await lines.run(held, load)
  } finally {
    if (--capture.depth === 0) capture.restore()
  }
  for (const { method, args } of held) {
    if (!BANNERS.some((banner) => banner.test(String(args[0]).trim()))) console[method](...args)
  }
  return result
}

function replaceConsole(): () => void {
  const originals = METHODS.map((method) => console[method])
  METHODS.forEach((method, i) => {
    console[method] = (...args: unknown[]) => {
      const held = lines.getStore()
      if (held) held.push({ method, args })
      else originals[i](...args)
    }
  })
  return () => {
    METHODS.forEach((method, i) => {
      console[method] = originals[i]
    })
  }
}

const METHODS = ['log', 'info', 'warn', 'error'] as const

/** What tfjs says in the normal course of loading; anything else is passed on. */
const BANNERS = [
  /^Platform node has already been set/,
  /Hi, looks like you are running TensorFlow\.js in Node\.js/,
  /^The kernel '.*' for backend '.*' is already registered/,
  /backend was already registered/,
]

/**
 * Runs `load` with the console held back. When it succeeds, tfjs's banners are dropped and every other line is printed after all;
 * when it throws, nothing is printed and the error travels on: its message says what matters.
 */
export async function captureConsole<T>(load: () => T | Promise<T>): Promise<T> {
  const held: { method: (typeof METHODS)[number]; args: unknown[] }[] = []
  const originals = METHODS.map((method) => console[method])
  for (const method of METHODS) console[method] = (...args: unknown[]) => void held.push({ method, args })
  let result: T
  try {
    result = await load()
  } finally {
    METHODS.forEach((method, i) => {
      console[method] = originals[i]
    })
  }
  for (const { method, args } of held) {
    if (!BANNERS.some((banner) => banner.test(String(args[0]).trim()))) console[method](...args)
  }
  return result
}

import { setFlagsFromString } from 'node:v8'

/**
 * How much the JavaScript heap may grow between two collections, in percent of what was left by the last. By itself V8 collects after some
 * 25 MB of arrays, nine times a layer of SmolLM2, and marks on threads beside those that multiply: GPTQ of it took 62 s of processor time
 * in 280 collections, and 53 s in 45. What is held at most rose from 0.89 to 0.93 GB.
 */
const GROWTH = 200

/** Does `work` with the collector called rarely. For one piece of work at a time: the setting is the process's. */
export async function withRareCollections<T>(work: () => Promise<T>): Promise<T> {
  const set = (percent: number) => setFlagsFromString(`--heap-growing-percent=${percent}`)
  set(GROWTH)
  try {
    return await work()
  } finally {
    // Zero is V8's own choice.
    set(0)
  }
}

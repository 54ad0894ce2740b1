import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/**
 * Where llmpress keeps what it installs for itself: LLMPRESS_CACHE, else llmpress under XDG_CACHE_HOME, else ~/.cache/llmpress. Absolute.
 */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  if (env.LLMPRESS_CACHE) return resolve(env.LLMPRESS_CACHE)
  return join(env.XDG_CACHE_HOME ? resolve(env.XDG_CACHE_HOME) : join(homedir(), '.cache'), 'llmpress')
}

import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/**
 * Folders that an optional package lies in, best first: from the project of the program that runs, from beside llmpress, from `cached`
 * folders. Nothing is loaded. The working directory does not count: it may be a model folder from a stranger, and a package in it would be
 * code that runs.
 */
export function packageFolders(name: string, cached: readonly string[]): string[] {
  const roots = [...mainScript(), import.meta.url, ...cached.map((folder) => join(folder, 'package.json'))]
  return [...new Set(roots.flatMap((root) => resolvePackage(root, name)))]
}

/** The file that Node was started with; none in a REPL or under --eval. */
function mainScript(): string[] {
  const script = process.argv[1]
  return script !== undefined && existsSync(script) ? [realpathSync(script)] : []
}

function resolvePackage(root: string | URL, name: string): string[] {
  try {
    return [dirname(createRequire(root).resolve(`${name}/package.json`))]
  } catch {
    return []
  }
}

import { readdir } from 'node:fs/promises'

/**
 * Imports every module of a folder: what it exports by file name without extension, in the order of names. It is how a file becomes known
 * by being there. `url` is a `file:` URL that ends in a slash; modules are .js when built and .ts in the sources, declarations are passed
 * over.
 */
export async function loadFolder(url: URL): Promise<Map<string, Record<string, unknown>>> {
  const files = (await readdir(url)).filter((file) => /\.(js|ts)$/.test(file) && !file.endsWith('.d.ts')).sort()
  const modules = new Map<string, Record<string, unknown>>()
  for (const file of files) modules.set(file.slice(0, -3), await import(new URL(file, url).href))
  return modules
}

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isInRange } from '../util/version-range.ts'

/** A part that llmpress runs on, as it is here and as package.json asks for it. */
export interface Requirement {
  /** `Node`, `@tensorflow/tfjs-core` */
  readonly name: string
  /** Null where it is not there. */
  readonly version: string | null
  readonly range: string
  readonly fits: boolean
}

const TENSORFLOW = ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-wasm']

/** Node and tfjs against llmpress' package.json, which is as far from src/engine as from dist/engine. */
export function requirements(node = process.version, versionOf: (name: string) => string | null = installedVersion): Requirement[] {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    engines: { node: string }
    dependencies: Record<string, string>
  }
  const parts: [string, string | null, string][] = [
    ['Node', node, manifest.engines.node],
    ...TENSORFLOW.map((name): [string, string | null, string] => [name, versionOf(name), manifest.dependencies[name]]),
  ]
  return parts.map(([name, version, range]) => ({ name, version, range, fits: version !== null && isInRange(version, range) }))
}

function installedVersion(name: string): string | null {
  try {
    const { version }: { version?: unknown } = createRequire(import.meta.url)(`${name}/package.json`)
    return typeof version === 'string' ? version : null
  } catch {
    return null
  }
}

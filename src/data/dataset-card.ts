import { parse } from 'yaml'
import { DataError } from '../util/errors.ts'
import { didYouMean } from '../util/nearest.ts'

/** A subset as a dataset's card describes it. */
export interface CardConfig {
  readonly name: string
  readonly isDefault: boolean
  /** Patterns of the files of each split; null where the card leaves it to their names. */
  readonly splits: ReadonlyMap<string, readonly string[]> | null
  /** The folder that paths stand in; empty for the repository's own. */
  readonly folder: string
}

/**
 * `configs` of the front matter of a dataset's README.md (the hub's "manual configuration"), empty where there is none. Errors: DataError
 * for front matter that cannot be read.
 */
export function cardConfigs(readme: string, name: string): CardConfig[] {
  const [, front] = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---\s*(?:\r?\n|$)/.exec(readme) ?? []
  if (front === undefined) return []
  let card: unknown
  try {
    card = parse(front)
  } catch (error) {
    throw new DataError(
      `Cannot read the card of the dataset ${name}: ${error instanceof Error ? error.message.split('\n')[0] : error}, expected YAML between --- and ---`,
    )
  }
  const configs = isObject(card) && Array.isArray(card.configs) ? card.configs.filter(isObject) : []
  return configs.map((config) => ({
    name: typeof config.config_name === 'string' ? config.config_name : 'default',
    isDefault: config.default === true,
    splits: splitsOf(config.data_files),
    folder: typeof config.data_dir === 'string' ? config.data_dir.replace(/^\.?\/+|\/+$/g, '') : '',
  }))
}

/** One pattern or several, all of train, or a list of `{ split, path }`. */
function splitsOf(files: unknown): CardConfig['splits'] {
  const paths = (value: unknown) => (Array.isArray(value) ? value : [value]).filter((path) => typeof path === 'string')
  if (typeof files === 'string') return new Map([['train', [files]]])
  if (!Array.isArray(files)) return null
  const entries = files.filter(isObject).map((entry): [string, string[]] => [String(entry.split ?? 'train'), paths(entry.path)])
  return new Map(entries.length > 0 ? entries : [['train', paths(files)]])
}

/**
 * The subset of that name; with none, the only one, the one marked `default`, or the one called so. Null where the card has none at all.
 * Errors: DataError that lists the names there are.
 */
export function chosenConfig(configs: readonly CardConfig[], wanted: string | null, dataset: string): CardConfig | null {
  if (configs.length === 0) return null
  const found =
    wanted === null
      ? configs.length === 1
        ? configs[0]
        : (configs.find(({ isDefault }) => isDefault) ?? configs.find(({ name }) => name === 'default'))
      : configs.find(({ name }) => name === wanted)
  if (found) return found
  const names = configs.map(({ name }) => name)
  const problem = wanted === null ? 'it has several subsets' : `it has no subset "${wanted}"`
  throw new DataError(
    `Cannot read the dataset ${dataset}: ${problem}${wanted === null ? '' : didYouMean(wanted, names)}, expected ${names.join(', ')} (--dataset-config)`,
  )
}

/** The files that a subset names for a split, in the order of its patterns. Errors: DataError for a split that it does not have. */
export function configFiles({ name, splits, folder }: CardConfig, split: string, paths: readonly string[], dataset: string): string[] {
  const patterns = splits?.get(split)
  if (!patterns) {
    const there = [...(splits?.keys() ?? [])]
    throw new DataError(
      `Cannot find the split "${split}" of "${name}" in the dataset ${dataset}: it has none of this name${didYouMean(split, there)}, expected ${there.join(', ')} (--split)`,
    )
  }
  const found = patterns.flatMap((pattern) => {
    const matches = globPattern([folder, pattern.replace(/^\.\//, '')].filter(Boolean).join('/'))
    return paths.filter((path) => matches.test(path)).sort()
  })
  return [...new Set(found)]
}

/** A pattern of more is no one's: it would only take long to match. */
const MOST_STARS = 8

/** `*` and `?` within a folder's name, `**` across folders, `[ab]`: what fsspec, and so the datasets library, knows. */
function globPattern(glob: string): RegExp {
  if (glob.replaceAll(/\*+/g, '*').split('*').length > MOST_STARS + 1)
    throw new DataError(
      `Cannot read the card of the dataset: found the pattern ${JSON.stringify(glob)}, expected ${MOST_STARS} stars at most`,
    )
  const source = glob.replace(/\*\*\/|\*\*|\*|\?|\[[^\]]+\]|[.+^$()|\\[\]{}]/g, (part) => {
    if (part === '**/') return '(?:.*/)?'
    if (part === '**') return '.*'
    if (part === '*') return '[^/]*'
    if (part === '?') return '[^/]'
    if (part.length > 1 && part.startsWith('[')) return part.replace(/^\[!/, '[^').replaceAll('\\', '\\\\')
    return `\\${part}`
  })
  return new RegExp(`^${source}$`)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

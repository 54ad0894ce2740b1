import { readFile } from 'node:fs/promises'
import type { HubRepo } from '../hub/open-repo.ts'
import type { RepoId } from '../hub/repo-id.ts'
import { type HubOptions, hubSettings } from '../hub/settings.ts'
import { DataError } from '../util/errors.ts'
import { didYouMean } from '../util/nearest.ts'
import { formOf } from './data-file.ts'
import { cardConfigs, chosenConfig, configFiles } from './dataset-card.ts'

/** Which part of a dataset is wanted. */
export interface DatasetPart {
  /** The subset; null for a set that has one. */
  readonly config: string | null
  readonly split: string
  /** What the paths of its files match, where the usual patterns do not find them. */
  readonly files: RegExp | null
}

/** The files of a split on the hub, in order. Each is downloaded when it is asked for: the first rows need the first file only. */
export interface HubDataset {
  /** For people and the record: `org/name, split train`. */
  readonly name: string
  readonly files: readonly { readonly name: string; path(): Promise<string> }[]
  readonly warnings: readonly string[]
}

/** Opens a split of a dataset of the hub. Errors: DataError where no file of it is found, UserError and RunError as `openRepo`. */
export async function openHubDataset(repo: RepoId, part: DatasetPart, options: HubOptions): Promise<HubDataset> {
  const { openRepo } = await import('../hub/open-repo.ts')
  const hub = await openRepo(repo, hubSettings(options))
  const paths = await partFiles(hub, part)
  if (paths.length === 0) throw noFiles(hub, part)
  const revision = repo.revision === 'main' ? '' : `@${repo.revision}`
  const config = part.config === null ? '' : `${part.config}, `
  return {
    name: `${repo.name}${revision} (${config}${part.split})`,
    files: paths.map((name) => ({ name, path: () => hub.fetch(name) })),
    warnings: hub.warnings,
  }
}

/** By its card where that says which files are whose, else by their names. */
async function partFiles(hub: HubRepo, part: DatasetPart): Promise<string[]> {
  const { files, repo } = hub
  if (part.files || !files.includes(CARD)) return splitFiles(files, part)
  const config = chosenConfig(cardConfigs(await readFile(await hub.fetch(CARD), 'utf8'), repo.name), part.config, repo.name)
  if (!config) return splitFiles(files, part)
  if (config.splits) return configFiles(config, part.split, files, repo.name).filter((path) => formOf(path) !== null)
  const inside = config.folder === '' ? files : files.filter((path) => path.startsWith(`${config.folder}/`))
  return splitFiles(inside, config.folder === '' ? part : { ...part, config: null })
}

const CARD = 'README.md'

/**
 * The files of a split, by the patterns that the datasets library looks for: the split's name stands as a word in the path, in a folder of
 * the subset's name where there is one. Parquet first where a set comes in several forms.
 */
export function splitFiles(paths: readonly string[], { config, split, files }: DatasetPart): string[] {
  const data = paths.filter((path) => formOf(path) !== null && !/(^|\/)(dataset_infos\.json|README\.txt|\.)/.test(path))
  if (files) return data.filter((path) => files.test(path)).sort()
  const inConfig = config === null ? data : data.filter((path) => path.split('/').includes(config) || path.startsWith(`${config}-`))
  // train is train-00000-of-00002 first, and train_sft only where there is no such file.
  const [plain, joined] = ['/. -', '/. _-'].map((between) => {
    const word = new RegExp(`(^|[${between}])${escaped(split)}(?=$|[${between}]|\\d)`)
    return inConfig.filter((path) => word.test(path))
  })
  const found = plain.length > 0 ? plain : joined
  // A set of one file for each form has one split, called train.
  const all = found.length === 0 && split === 'train' && !inConfig.some(hasSplitName) ? inConfig : found
  const forms = ['parquet', 'jsonl', 'json', 'csv', 'tsv', 'text']
  const first = forms.find((form) => all.some((path) => formOf(path)?.form === form))
  return all.filter((path) => formOf(path)?.form === first).sort()
}

function hasSplitName(path: string): boolean {
  return /(^|[/._ -])(train|test|validation|valid|val|dev|eval)/.test(path)
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

function noFiles({ repo, files }: HubRepo, { config, split }: DatasetPart): DataError {
  const data = files.filter((path) => formOf(path) !== null)
  const what = `split "${split}"${config === null ? '' : ` of "${config}"`}`
  const shown = data.length > 6 ? `${data.slice(0, 6).join(', ')} and ${data.length - 6} more` : data.join(', ') || 'no data files'
  const words = [...new Set(data.flatMap((path) => path.split(/[/.-]/)))]
  return new DataError(
    `Cannot find the ${what} in the dataset ${repo.name}: found ${shown}, expected files of that name${didYouMean(split, words)} (--split, --dataset-config)`,
  )
}

import { Option } from 'commander'
import { builtInDatasets } from '../data/built-in.ts'
import { FILE_KINDS } from '../data/data-file.ts'
import { NAMED_SETS } from '../data/named-sets.ts'
import { ROW_MODES } from '../data/rows.ts'

/** What `--dataset` may be. */
export const DATASET_HELP = [
  `calibration data: ${builtInDatasets('calibration').join(', ')}; ${NAMED_SETS.join(', ')}; org/name[@revision] on the hub;`,
  `or a ${FILE_KINDS} file`,
].join(' ')

/** `--dataset-config` */
export function datasetConfigOption(): Option {
  return new Option('--dataset-config <name>', 'subset of a dataset of the hub, such as wikitext-103-raw-v1')
}

/** `--split` */
export function splitOption(): Option {
  return new Option(
    '--split <name>',
    "split of a dataset of the hub, or a part of one such as train[:5%] (default: the set's own for calibration, or train)",
  )
}

/** `--text-column` */
export function textColumnOption(): Option {
  return new Option('--text-column <name>', 'key of the text, messages or token ids (default: text, messages, conversations or input_ids)')
}

/** `--rows` */
export function rowsOption(): Option {
  return new Option(
    '--rows <mode>',
    'pack joins documents and cuts them into rows of equal length, truncate makes each a row (default: truncate for conversations)',
  ).choices(ROW_MODES)
}

import { expertPieces } from '../checkpoint/expert-pieces.ts'
import { PiecewiseReader } from '../checkpoint/piecewise-reader.ts'
import type { TensorReader } from '../checkpoint/tensor-reader.ts'
import { CheckpointError } from '../util/errors.ts'
import { loadFolder } from '../util/load-folder.ts'
import type { Architecture, Model, TextModel } from './architecture.ts'
import { type Config, section } from './config-values.ts'
import { genericModel } from './generic.ts'

const ARCHITECTURES = new URL('./architectures/', import.meta.url)

/** The architectures there are, by model_type. */
async function architectures(): Promise<Map<string, Architecture>> {
  const known = new Map<string, Architecture>()
  for (const [modelType, module] of await loadFolder(ARCHITECTURES)) known.set(modelType, module.architecture as Architecture)
  return known
}

/** What a config says it is; no architecture has an empty name. */
const modelType = (config: Config | null) => (typeof config?.model_type === 'string' ? config.model_type : '')

/** A checkpoint with the experts that it stores in one tensor one by one. */
export async function expertReader(config: Config, stored: TensorReader): Promise<TensorReader> {
  const known = await architectures()
  const architecture = known.get(modelType(config)) ?? known.get(modelType(section(config, 'text_config')))
  const pieces = expertPieces(stored.tensors, architecture?.alternatingExperts ?? false)
  return pieces.size === 0 ? stored : new PiecewiseReader(stored, pieces)
}

/**
 * The model that a config.json describes, with the names that the checkpoint has.
 * Errors: CheckpointError for a model_type that is not known, naming those that are.
 */
export async function readModel(config: Config, reader: TensorReader): Promise<Model> {
  const known = await architectures()
  const architecture = known.get(modelType(config))
  const text = section(config, 'text_config')
  const inner = text && !architecture ? known.get(modelType(text)) : undefined
  if (text && inner) return textModel(inner, config, text, reader)
  if (!architecture) {
    const unknown =
      `${unknownType(config, known)}; ` +
      'only recipes that need no data (QuantizationModifier with W4A16, W8A16, FP8_DYNAMIC ...) work without its architecture'
    const generic = await genericModel(modelType(config), reader, unknown)
    if (generic) return generic
    throw new CheckpointError(`Cannot read the model: ${unknown}, and here neither their linears nor an output projection were found.`, {
      file: 'config.json',
    })
  }
  const { tensors } = reader
  requirePossibleSizes(config, reader)
  const full = { ...lesserDefaults(architecture), ...config }
  const models = (architecture.places ?? [undefined]).map((place) => architecture.model(full, place))
  return withOwnHead(models.find(({ embedding }) => tensors.has(`${embedding}.weight`)) ?? models[0], reader)
}

/**
 * The model that a config.json describes, without any weights to look at: with the names that newest checkpoints have.
 * Errors: CheckpointError for a model_type that is not known, and for sizes that no model has.
 */
export async function describedModel(config: Config): Promise<Model> {
  const known = await architectures()
  const outer = known.get(modelType(config))
  const text = section(config, 'text_config')
  const architecture = outer ?? (text ? known.get(modelType(text)) : undefined)
  if (!architecture) throw new CheckpointError(`Cannot read the model: ${unknownType(config, known)}.`, { file: 'config.json' })
  if (outer || !text) {
    requireImaginableSizes(config)
    return architecture.model({ ...lesserDefaults(architecture), ...config }, architecture.places?.[0])
  }
  requireImaginableSizes(text)
  return architecture.model({ ...architecture.defaults, ...ownTie(config), ...text }, WITHIN[0])
}

function unknownType(config: Config, known: ReadonlyMap<string, Architecture>): string {
  const found = config.model_type === undefined ? 'none' : JSON.stringify(config.model_type)
  return `model_type in config.json is ${found}, expected one of ${[...known.keys()].sort().join(', ')}`
}

/** A head that is stored is the model's, whatever config.json says of tying: so transformers 5 reads it. */
function withOwnHead(model: Model, { tensors }: Pick<TensorReader, 'tensors'>): Model {
  const { name } = model.head()
  const isStored = ['weight', 'weight_packed', 'weight_scale', 'qweight'].some((suffix) => tensors.has(`${name}.${suffix}`))
  return isStored && model.tied ? { ...model, tied: false } : model
}

/** Every config.json of a text model by itself says these; a guess would only show as a tensor of another shape. */
const SIZES = ['vocab_size', 'hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads']

function lesserDefaults({ defaults }: Architecture): Config {
  return Object.fromEntries(Object.entries(defaults).filter(([key]) => !SIZES.includes(key)))
}

/** Where wrappers that also see or hear have their text model: as transformers saves them since version 5, before, or in place. */
const WITHIN: readonly TextModel[] = [
  { base: 'model.language_model', head: 'lm_head' },
  { base: 'language_model.model', head: 'language_model.lm_head' },
  { base: 'model', head: 'lm_head' },
]

/**
 * The text model of a wrapper, whose config leaves out all that its config class has by default. Whether its head is tied may stand with the
 * wrapper.
 */
function textModel(architecture: Architecture, config: Config, text: Config, { tensors }: TensorReader): Model {
  requirePossibleSizes(text, { tensors })
  const models = WITHIN.map((place) => architecture.model({ ...architecture.defaults, ...ownTie(config), ...text }, place))
  return withOwnHead(models.find(({ embedding }) => tensors.has(`${embedding}.weight`)) ?? models[0], { tensors })
}

function ownTie({ tie_word_embeddings: tied }: Config): Config {
  return tied === undefined ? {} : { tie_word_embeddings: tied }
}

/** Sizes of config.json that are a dimension of some tensor, or divide one. */
const DIMENSION = /(head_dim|hidden_size|intermediate_size|_heads|n_heads?|n_embd|n_inner|ffn_dim|_experts|_rank)$/
/** Up to here a size costs nothing, whatever the tensors are. */
const HARMLESS = 2 ** 16

/**
 * A damaged config must not make us build lists of a billion layers, or tables of a billion channels, before the first tensor of another
 * shape is noticed.
 */
function requirePossibleSizes(config: Config, { tensors }: Pick<TensorReader, 'tensors'>): void {
  const wrong = (key: string, found: string) =>
    new CheckpointError(`Cannot use the checkpoint: ${key} is ${config[key]} in config.json, but ${found}.`, { file: 'config.json' })
  for (const key of ['num_hidden_layers', 'n_layer']) {
    const layers = config[key]
    if (typeof layers !== 'number' || layers <= tensors.size) continue
    throw wrong(key, `there are ${tensors.size} tensors, expected at least one for each layer`)
  }
  const exceeds = (key: string, bound: number) => typeof config[key] === 'number' && config[key] > bound
  const large = Object.keys(config).filter((key) => DIMENSION.test(key) && exceeds(key, HARMLESS))
  if (large.length === 0) return
  let largest = 0
  for (const { shape } of tensors.values()) for (const size of shape) largest = Math.max(largest, size)
  const impossible = large.find((key) => exceeds(key, largest))
  if (impossible !== undefined) throw wrong(impossible, `no tensor has more than ${largest} rows or columns, expected one that has as many`)
}

/** More than any model has; lists and tables of this many cost nothing yet. */
const MOST_LAYERS = 4096
const LARGEST_SIZE = 2 ** 22

function requireImaginableSizes(config: Config): void {
  for (const [key, value] of Object.entries(config)) {
    if (typeof value !== 'number') continue
    const most = key === 'num_hidden_layers' || key === 'n_layer' ? MOST_LAYERS : DIMENSION.test(key) ? LARGEST_SIZE : Infinity
    if (value > most) {
      throw new CheckpointError(`Cannot read the model: ${key} is ${value} in config.json, expected at most ${most}.`, {
        file: 'config.json',
      })
    }
  }
}

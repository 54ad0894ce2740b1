import { type SizeReport, sizeReport } from '../eval/size-report.ts'
import type { HubOptions } from '../hub/settings.ts'
import type { OpenModel } from '../models/open-model.ts'
import { planDescribed } from '../oneshot/plan.ts'
import { plannedModel } from '../oneshot/planned-model.ts'
import { refusalAnywhere, refusalOn } from '../servers/servers.ts'
import { formatBytes } from '../util/format-bytes.ts'
import type { GuideTopic } from '../util/see-guide.ts'
import { CANDIDATES, type Candidate } from './candidates.ts'
import { type Device, deviceOf } from './devices.ts'
import { cacheOf, described, type Estimate, problemOf } from './estimate.ts'
import type { Goal } from './goals.ts'
import { checkRecommend } from './options.ts'
import { PURPOSE_RULES, type Purpose } from './purposes.ts'

export interface RecommendOptions extends HubOptions {
  /** Where it is to run: the name of a GPU, a size of memory (`24GB`), or `cpu`. */
  gpu?: string
  /** What matters most; a good deal of everything by default. */
  goal?: Goal
  /** What it is for, in place of a goal. */
  purpose?: Purpose
  /** Tokens that the key-value cache is to hold; 4096 by default, or what the model can hold. */
  context?: number
}

/** One way to compress, judged. */
export interface Judged extends SizeReport {
  name: string
  recipe: object
  calibrated: boolean
  /** Of the weights. */
  bytes: number
  /** Weights, cache and what a server takes beside them; whether they fit the device. */
  needed: number
  fits: boolean
  /** Growth of perplexity as a share, measured on small models. */
  loss: Candidate['loss']
  /** Tokens a second for one user at most: the device's bandwidth over the bytes of the weights; null where that is not known. */
  tokensPerSecond: number | null
  /** Why it is out of the question on this device, or for this model; null where it is not. */
  problem: string | null
}

export interface Recommendation {
  model: string
  device: Device | null
  goal: Goal | null
  purpose: Purpose | null
  cache: Estimate['cache']
  original: { bytes: number; needed: number; fits: boolean; tokensPerSecond: number | null }
  candidates: Judged[]
  /** The candidate to take; null where none will do. */
  choice: Judged | null
  /** In words, with the reasons. */
  verdict: string
  /** The part of the guide to read on in: `llmpress explain TOPIC`. */
  topic: GuideTopic
}

/** vLLM's own share of a GPU (gpu_memory_utilization), and what it takes for activations and graphs. */
const USABLE = 0.9
const BESIDE = 2 ** 30

/**
 * What to compress a model to for a device or a goal, and why: sizes from config.json, kernels by vLLM's rules, loss as measured on small
 * models. Errors: CheckpointError for an architecture that is not known; UserError for a GPU that is not.
 */
export async function recommend(model: string, options: RecommendOptions = {}): Promise<Recommendation> {
  checkRecommend(model, options)
  const { gpu, purpose = null, context } = options
  const rule = purpose === null ? null : PURPOSE_RULES[purpose]
  const goal = rule ? rule.goal : (options.goal ?? null)
  const device = gpu === undefined ? null : deviceOf(gpu)
  const source = await described(model, options)
  const cache = cacheOf(source, context)
  const needs = (bytes: number) => {
    const needed = bytes + (cache?.bytes ?? 0) + BESIDE
    const tokensPerSecond = device?.bandwidth ? Math.round(device.bandwidth / bytes) : null
    return { needed, fits: device?.memory == null || needed <= USABLE * device.memory, tokensPerSecond }
  }
  const before = [...source.reader.tensors.values()].reduce((sum, { begin, end }) => sum + end - begin, 0)
  const candidates: Judged[] = []
  for (const candidate of CANDIDATES) {
    const { name, recipe, calibrated, loss } = candidate
    const { bytes, problem } = await judged(source, before, candidate, device)
    candidates.push({ name, recipe, calibrated, bytes, loss, problem, ...needs(bytes), ...sizeReport(before, bytes) })
  }
  const original = { bytes: before, ...needs(before) }
  const choice = chosen(candidates, { goal, ...rule }, device)
  const found = { model, device, goal, purpose, cache, original, candidates, choice }
  return { ...found, verdict: [verdictOf(found), ...(rule?.note ? [rule.note] : [])].join(' '), topic: topicOf(found) }
}

/** Where memory is the trouble, that; else what the goal is. */
function topicOf({ choice, goal, original }: Pick<Recommendation, 'choice' | 'goal' | 'original'>): GuideTopic {
  if (choice === null || !original.fits || goal === 'size') return 'memory'
  return goal ?? 'purpose'
}

async function judged(
  source: OpenModel,
  before: number,
  { recipe }: Candidate,
  device: Device | null,
): Promise<{ bytes: number; problem: string | null }> {
  const plan = await planDescribed(source, { recipe }).catch(problemOf)
  if (typeof plan === 'string') return { bytes: before, problem: plan }
  const where = device && (device.name === 'CPU' ? 'cpu' : device.capability)
  const model = plannedModel(plan)
  const reason = where === null ? refusalAnywhere('vllm', model) : refusalOn('vllm', model, where)
  return { bytes: plan.size.after, problem: reason }
}

/** One user waits for weights to be read, many for products: those are faster where inputs are narrow too. */
function manyUsers(candidates: readonly Judged[], choice: Judged): string {
  const narrow = candidates.filter(({ name, fits, problem }) => fits && problem === null && isNarrow(name))
  const [best] = narrow.sort((a, b) => lossOf(a) - lossOf(b))
  return best && best.name !== choice.name ? ` For many users at once: ${best.name}, whose products run in 8 bits.` : ''
}

function isNarrow(name: string): boolean {
  return CANDIDATES.some((candidate) => candidate.name === name && candidate.narrowProducts)
}

/** What a choice is to be made by. */
interface Wish {
  readonly goal: Goal | null
  readonly dataFree?: boolean
  readonly fourBits?: boolean
}

function chosen(candidates: readonly Judged[], { goal, dataFree = false, fourBits = false }: Wish, device: Device | null): Judged | null {
  const able = candidates.filter(({ fits, problem, calibrated }) => fits && problem === null && !(dataFree && calibrated))
  const order: Record<Goal | 'all', (a: Judged, b: Judged) => number> = {
    quality: (a, b) => lossOf(a) - lossOf(b) || a.bytes - b.bytes,
    size: (a, b) => a.bytes - b.bytes || lossOf(a) - lossOf(b),
    // One user waits for bytes; between equal bytes, products in a narrow type serve more users.
    speed: (a, b) => a.bytes - b.bytes || Number(isNarrow(b.name)) - Number(isNarrow(a.name)) || lossOf(a) - lossOf(b),
    all: (a, b) => lossOf(a) - lossOf(b) || a.bytes - b.bytes,
  }
  // Three bits lose much: only where nothing larger fits.
  const mild = able.filter(({ name }) => !name.startsWith('W3'))
  const pool = mild.length > 0 ? mild : able
  if (goal !== null) return [...pool].sort(order[goal])[0] ?? null
  // Where there is room, eight bits; where the room is not known, four, which is what most people want.
  const roomy = fourBits || device?.memory == null ? pool.filter(({ name }) => name === 'W4A16, GPTQ') : pool
  return [...(roomy.length > 0 ? roomy : pool)].sort(order.all)[0] ?? null
}

/** Of the model that all were measured on. */
function lossOf({ loss }: Judged): number {
  return loss['docs-llama-4m']
}

function verdictOf({ device, goal, original, candidates, choice, cache }: Omit<Recommendation, 'verdict' | 'topic'>): string {
  const where = device ? `on ${device.name}` : 'here'
  const room =
    device?.memory == null
      ? ''
      : original.fits
        ? ` The original fits too (${formatBytes(original.needed)} of ${formatBytes(device.memory)}).`
        : ` The original does not fit (${formatBytes(original.needed)} of ${formatBytes(device.memory)}).`
  if (choice === null) {
    const [smallest] = [...candidates].filter(({ problem }) => problem === null).sort((a, b) => a.needed - b.needed)
    const least = smallest ? `even ${smallest.name} needs ${formatBytes(smallest.needed)}` : `no scheme has a kernel ${where}`
    const shorter = smallest && cache && cache.bytes > smallest.bytes ? ', most of it the key-value cache: try a shorter --context' : ''
    return `Nothing will do ${where}: ${least}${shorter}.${room}`
  }
  const times = (original.bytes / choice.bytes).toFixed(1)
  const many = goal === 'speed' ? manyUsers(candidates, choice) : ''
  const data = choice.calibrated ? 'It needs calibration data.' : 'It needs no data.'
  return `Take ${choice.name}: ${formatBytes(choice.bytes)} of weights, ${times} times smaller.${room} ${data}${many}`
}

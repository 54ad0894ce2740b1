import { parseQuantizationConfig } from '../checkpoint/config.ts'
import { exchangeSettings } from '../checkpoint/exchange-settings.ts'
import { tensorBytes } from '../checkpoint/shards.ts'
import { isUnfinished } from '../checkpoint/staging.ts'
import { lacksPadding } from '../data/padding-token.ts'
import { modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import type { LinearSpec, Model } from '../models/architecture.ts'
import { allLinears, type OpenModel, openModel, readCodes, readWeight, scaleDtypeOf, storedName } from '../models/open-model.ts'
import type { DType, FloatDType } from '../numerics/dtype.ts'
import { decodeFloats } from '../numerics/float-dtype.ts'
import { activationTensors, cacheTensors } from '../schemes/activation-scales.ts'
import { codesChecksum } from '../schemes/codes-checksum.ts'
import { dequantize, relativeError } from '../schemes/quantize.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import type { ServerFinding } from '../servers/server.ts'
import { serverProblems, targetVersion } from '../servers/servers.ts'
import type { Target } from '../servers/targets.ts'
import { CheckpointError, DataError } from '../util/errors.ts'
import { seeGuide } from '../util/see-guide.ts'
import { checkVerify } from './options.ts'
import { servedCheckpoint } from './served-checkpoint.ts'
import { checkFiles, readWrittenReport, type WrittenReport } from './written-report.ts'

export interface VerifyOptions extends HubOptions {
  /** The original, to compare with. */
  against?: string
  /** A server that is to load it. */
  target?: Target
}

/** One linear of a verified checkpoint. */
export interface VerifiedLinear {
  name: string
  /** `W4A16 g128`, or null where it is not compressed. */
  scheme: string | null
  /** ‖W' - W‖² / ‖W‖² against the original's weight; null without an original. */
  error: number | null
}

export interface Verification {
  linears: VerifiedLinear[]
  /** Tensors that were read. */
  tensors: number
  bytes: number
  /** Files whose SHA-256 is the one in llmpress-report.json; absent where no report says any. */
  files?: number
  /** What is wrong with the checkpoint; empty for a sound one. */
  problems: string[]
  /** What is odd and does no harm: tensors that neither the architecture nor a format names. Absent where there are none. */
  notes?: string[]
  /** What the target makes of the checkpoint; its errors stand among the problems too. Absent without a target. */
  findings?: ServerFinding[]
}

/**
 * Re-opens a checkpoint and reads every tensor of it: names, types and shapes against config.json, values finite, scales not zero,
 * every compressed linear dequantized; with an original, the error of each linear, and whether all other tensors have the same type, shape
 * and bytes; with a target, whether that server has kernels for it. Where llmpress-report.json has them: the SHA-256 of every file, and whether the
 * codes of each linear are those that the run made.
 * Errors: CheckpointError where the checkpoint cannot be opened at all.
 */
export async function verify(checkpoint: string, options: VerifyOptions = {}): Promise<Verification> {
  checkVerify(checkpoint, options)
  const { against, target, signal } = options
  const folder = await modelFolder(checkpoint, options)
  const source = await openModel(folder.path)
  const original = against === undefined ? null : await openModel((await modelFolder(against, options)).path)
  try {
    const report = await readWrittenReport(folder.path)
    const { rewritten } = report
    const { same, problems, notes } = await checkFiles(folder.path, report, signal)
    const floats = floatTensors(source.model)
    await notePadding(folder.path, notes, problems)
    notes.push(...(exchangeSettings(source.config)?.notes ?? []))
    if (isUnfinished(folder.path)) notes.push('a run that has not finished is to replace this checkpoint: its command goes on with it')
    const linears: VerifiedLinear[] = []
    const expected = new Set<string>()
    for (const spec of allLinears(source.model)) {
      signal?.throwIfAborted()
      linears.push(await verifyLinear(source, rewritten.has(`${spec.name}.weight`) ? null : original, spec, report, expected, problems))
    }
    for (const name of cacheScales(source)) {
      await verifyScales(source, name, problems)
      expected.add(name)
    }
    for (const { name } of source.reader.tensors.values()) {
      signal?.throwIfAborted()
      if (expected.has(name)) continue
      await verifyOther(source, rewritten.has(name) ? null : original, name, floats, problems)
      const carried = original === null || original.reader.has(name)
      if (carried && !floats.has(name)) notes.push(`${name} is named neither by the architecture nor by a format`)
    }
    if (original) problems.push(...missing(source, original))
    if (original && rewritten.size > 0)
      notes.push(
        `${rewritten.size} tensors were rescaled or rotated and are not compared with the original's (llmpress-report.json lists them)`,
      )
    const findings = target && serverProblems(target, await servedCheckpoint(source))
    if (target) problems.push(...(findings ?? []).flatMap((finding) => refusal(target, finding)))
    const bytes = [...source.reader.tensors.values()].reduce((sum, tensor) => sum + tensorBytes(tensor), 0)
    return {
      linears,
      tensors: source.reader.tensors.size,
      bytes,
      ...(report.files.length > 0 && { files: same }),
      problems,
      ...(notes.length > 0 && { notes }),
      ...(findings && { findings }),
    }
  } finally {
    await source.close()
    await original?.close()
  }
}

/** A tokenizer without padding token is odd, one that cannot be read a problem. */
async function notePadding(path: string, notes: string[], problems: string[]): Promise<void> {
  try {
    if (await lacksPadding(path)) notes.push(`the tokenizer names no padding token, which programs that pad ask for.${seeGuide('padding')}`)
  } catch (error) {
    if (!(error instanceof DataError)) throw error
    problems.push(error.message)
  }
}

/** Names of the scales of the key-value cache, where it is quantized. */
function cacheScales({ config, model }: OpenModel): string[] {
  const args = parseQuantizationConfig(config)?.kv_cache_scheme
  if (!args || !model.attention) return []
  const { module, kvHeads } = model.attention
  const suffixes = cacheTensors(args, kvHeads, 'BF16').map(({ suffix }) => suffix)
  return Array.from({ length: model.layers }, (_, layer) =>
    suffixes.map((suffix) => `${model.layerName(layer)}.${module}.${suffix}`),
  ).flat()
}

function refusal(target: Target, { severity, message, modules }: ServerFinding): string[] {
  if (severity !== 'error') return []
  const more = modules.length > 1 ? ` and ${modules.length - 1} more` : ''
  return [`${targetVersion(target)} does not load it: ${message}${modules.length > 0 ? ` (${modules[0]}${more})` : ''}`]
}

async function verifyLinear(
  source: OpenModel,
  original: OpenModel | null,
  spec: LinearSpec,
  { checksums }: WrittenReport,
  expected: Set<string>,
  problems: string[],
): Promise<VerifiedLinear> {
  const { reader, compressed, model } = source
  const stored = compressed.get(spec.name)
  const args = stored?.scheme.weights
  if (!stored || !args) return { name: spec.name, scheme: null, error: null }
  const { scales } = stored.layout
  const scaleDtype = scaleDtypeOf(reader, stored.layout, spec.name)
  for (const { suffix, dtype } of stored.layout.tensors(args, spec.rows, spec.columns, scaleDtype)) {
    const name = `${spec.name}.${suffix}`
    expected.add(name)
    const found = reader.info(name).dtype
    if (found !== dtype) problems.push(`${name} is stored as ${found}, expected ${dtype}`)
  }
  if (reader.has(`${spec.name}.weight`) && !expected.has(`${spec.name}.weight`))
    problems.push(`${spec.name}.weight stands beside its compressed form`)
  const scaleType = scaleDtype === 'F8_E4M3' || scaleDtype === 'U8' ? 'BF16' : scaleDtype
  for (const { suffix, dtype } of activationTensors(stored.scheme, scaleType)) {
    const name = `${spec.name}.${suffix}`
    expected.add(name)
    if (isFloat(dtype)) await verifyScales(source, name, problems)
  }
  // The scales of bitsandbytes are largest magnitudes, 0 where all weights are.
  const isMagnitude = stored.layout.method === 'bitsandbytes'
  if (scaleDtype !== 'U8' && !isMagnitude) await verifyScales(source, `${spec.name}.${scales}`, problems)
  const codes = await readCodes(reader, stored, args, spec).catch((error: unknown) => {
    if (!(error instanceof CheckpointError)) throw error
    problems.push(error.message)
    return null
  })
  if (!codes) return { name: spec.name, scheme: schemeLabel(stored.scheme), error: null }
  const checksum = checksums.get(spec.name)
  if (checksum !== undefined && codesChecksum(codes) !== checksum) problems.push(`${spec.name} has other codes than the run made`)
  const weight = dequantize(codes)
  const broken = weight.findIndex((value) => !Number.isFinite(value))
  if (broken >= 0) problems.push(`${spec.name} dequantizes to ${weight[broken]} at element ${broken}`)
  const reference = original && original.model.layers === model.layers ? await readWeight(original, spec) : null
  return { name: spec.name, scheme: schemeLabel(stored.scheme), error: reference && relativeError(reference, weight) }
}

async function verifyScales({ reader }: OpenModel, name: string, problems: string[]): Promise<void> {
  const { dtype } = reader.has(name) ? reader.info(name) : { dtype: null }
  if (dtype === null || !(isFloat(dtype) || dtype === 'F8_E4M3')) {
    problems.push(`${name} is ${dtype === null ? 'missing' : `stored as ${dtype}`}, expected scales in ${FLOATS.join(', ')}`)
    return
  }
  const scales = await reader.readFloats(name)
  const wrong = scales.findIndex((scale) => !Number.isFinite(scale) || scale === 0)
  if (wrong >= 0) problems.push(`${name} is ${scales[wrong]} at element ${wrong}, expected finite and not zero`)
}

/** Tensors that the model computes with as floats, by name: norms, embeddings, biases, and the weights of linears where they are stored. */
function floatTensors(model: Model): ReadonlySet<string> {
  const layers = Array.from({ length: model.layers }, (_, layer) => model.parameters(layer)).flat()
  const linears = allLinears(model).flatMap(({ name, bias }) => (bias ? [`${name}.weight`, `${name}.bias`] : [`${name}.weight`]))
  return new Set([...[...model.outerParameters(), ...layers].map(({ name }) => name), ...linears])
}

const FLOATS: readonly DType[] = ['F32', 'F16', 'BF16']

function isFloat(dtype: DType): dtype is FloatDType {
  return FLOATS.includes(dtype)
}

async function verifyOther(
  { reader }: OpenModel,
  original: OpenModel | null,
  name: string,
  floats: ReadonlySet<string>,
  problems: string[],
): Promise<void> {
  const { dtype, shape } = reader.info(name)
  const bytes = await reader.read(name)
  if (isFloat(dtype)) {
    const values = decodeFloats(bytes, dtype)
    const broken = values.findIndex((value) => !Number.isFinite(value))
    if (broken >= 0) problems.push(`${name} is ${values[broken]} at element ${broken}`)
  } else if (floats.has(name)) problems.push(`${name} is stored as ${dtype}, expected ${FLOATS.join(', ')}`)
  if (!original) return
  if (!original.reader.has(name)) {
    problems.push(`${name} is not in the original`)
    return
  }
  const before = original.reader.info(name)
  if (dtype !== before.dtype || shape.join() !== before.shape.join()) {
    problems.push(`${name} is ${dtype} [${shape}], expected ${before.dtype} [${before.shape}] as in the original`)
  } else if (Buffer.compare(bytes, await original.reader.read(name)) !== 0) problems.push(`${name} differs from the original's bytes`)
}

/** Tensors of the original that the checkpoint has in no form. */
function missing({ reader, compressed, model }: OpenModel, original: OpenModel): string[] {
  const replaced = new Set([...compressed.keys()].map((name) => storedName({ ...model, tied: false }, name)))
  return [...original.reader.tensors.keys()]
    .filter((name) => !reader.has(name) && !replaced.has(name))
    .map((name) => `${name} of the original is missing`)
}

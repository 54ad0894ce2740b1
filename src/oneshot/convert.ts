import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { configText } from '../checkpoint/config.ts'
import { exchangeSettings } from '../checkpoint/exchange-settings.ts'
import { isJsonObject, type JsonObject, readJsonFile } from '../checkpoint/json-file.ts'
import type { Method, Quantized } from '../checkpoint/layouts/layout.ts'
import { CheckpointWriter, type WrittenFile } from '../checkpoint/writer.ts'
import { modelFolder } from '../hub/model-folder.ts'
import type { HubOptions } from '../hub/settings.ts'
import { type OpenModel, openModel, readSoundCodes } from '../models/open-model.ts'
import { REPORT_FILE } from '../report/record.ts'
import { codesChecksum } from '../schemes/codes-checksum.ts'
import { schemeLabel } from '../schemes/scheme.ts'
import { packageVersion } from '../util/package-version.ts'
import { checkSaved } from './check-saved.ts'
import { checkedChunks } from './checked-chunks.ts'
import { companionFiles } from './companions.ts'
import { type ConversionPlan, type ConvertedLinear, planConversion } from './convert-plan.ts'
import { checkConvert } from './options.ts'

export interface ConvertOptions extends HubOptions {
  /** Whose format to write. */
  format: Method
  /** The folder to write; `./{checkpoint name}-{format}` by default. */
  output?: string
  /** Replaces a checkpoint in the output folder; the old one stays until the new one is whole. */
  overwrite?: boolean
  /** Called before each linear, and not waited for. */
  onProgress?: (progress: { name: string; index: number; of: number }) => void
}

/** What a conversion did, as returned by `convert` and written beside the checkpoint as llmpress-report.json. */
export interface Conversion {
  llmpress: string
  /** What was converted. */
  model: string
  output: string
  from: Method
  format: Method
  /** `checksum`: what the codes were and read back as. */
  linears: { name: string; scheme: string; checksum: string }[]
  /** As the report of what was converted has it: names of tensors that were rescaled or rotated when it was made. */
  rewritten: string[]
  /** Settings of kernels in the configuration of a GPTQ or AWQ checkpoint (`use_exllama`), which the new format has no place for. */
  settings: JsonObject
  /** Bytes of all tensors. */
  size: { before: number; after: number }
  notes: string[]
  /** All files but this record, with their sizes in bytes and their SHA-256. */
  files: WrittenFile[]
}

/**
 * Writes a compressed checkpoint in another format, compressed-tensors, GPTQ or AWQ, with the same codes, scales and zero points: nothing is
 * computed again, and where that cannot be, it is an error. Tensor by tensor, one linear in memory at a time; afterwards all codes are read
 * back and compared.
 * Errors: UserError and its kinds before anything is written; RunError for what goes wrong later; the signal's reason.
 */
export async function convert(checkpoint: string, options: ConvertOptions): Promise<Conversion> {
  checkConvert(checkpoint, options)
  const { format, output, overwrite = false, signal = new AbortController().signal, onProgress } = options
  const folder = await modelFolder(checkpoint, options)
  const source = { ...(await openModel(folder.path)), name: folder.name }
  try {
    const plan = await planConversion(source, folder.reference, format, output, overwrite)
    const writer = await CheckpointWriter.open(plan.output, plan.shards, { overwrite })
    try {
      const linears = await writeTensors(source, plan, writer, signal, onProgress)
      await writeCompanions(source, plan, writer)
      await checkSaved(plan, writer.staging, linears, signal)
      const exchange = exchangeSettings(source.config)
      const record: Conversion = {
        llmpress: packageVersion(),
        model: folder.reference,
        output: plan.output,
        from: plan.from,
        format,
        linears,
        rewritten: await rewrittenBefore(folder.path),
        settings: exchange?.settings ?? {},
        size: plan.size,
        notes: [...plan.notes, ...(exchange?.notes ?? [])],
        files: await writer.files(),
      }
      await writer.writeFile(REPORT_FILE, `${JSON.stringify(record, null, 2)}\n`)
      signal.throwIfAborted()
      await writer.finish()
      return record
    } catch (error) {
      // What went wrong first is what the user must hear.
      await writer.abort().catch(() => {})
      throw error
    }
  } finally {
    await source.close()
  }
}

async function writeTensors(
  source: OpenModel,
  { linears, kept }: ConversionPlan,
  writer: CheckpointWriter,
  signal: AbortSignal,
  onProgress: ConvertOptions['onProgress'],
): Promise<Conversion['linears']> {
  const written: Conversion['linears'] = []
  for (const [index, linear] of linears.entries()) {
    const { spec, scheme, layout, scaleDtype } = linear
    signal.throwIfAborted()
    onProgress?.({ name: spec.name, index, of: linears.length })
    const quantized = await asConverted(source, linear)
    const bytes = layout.encode(quantized)
    for (const { suffix, dtype, shape } of layout.tensors(scheme.weights, spec.rows, spec.columns, scaleDtype)) {
      await writer.write({ name: `${spec.name}.${suffix}`, dtype, shape, bytes: bytes.get(suffix) ?? new Uint8Array() })
    }
    written.push({ name: spec.name, scheme: schemeLabel(scheme), checksum: codesChecksum(quantized) })
  }
  for (const { info } of kept) {
    signal.throwIfAborted()
    await writer.writeChunks(info, checkedChunks(source.reader, info.name))
  }
  await source.reader.requireUnchanged()
  return written
}

/** What is stored of a linear, in the words of the new format: the same numbers. */
async function asConverted({ reader }: OpenModel, { spec, stored, scheme: { weights }, scaleDtype }: ConvertedLinear): Promise<Quantized> {
  const { weights: args } = stored.scheme
  if (!args) throw new RangeError(`Cannot convert ${spec.name}: it has no scheme, expected one`)
  const quantized = await readSoundCodes(reader, stored, args, spec)
  return { ...quantized, args: weights, scaleDtype, zeroPoint: weights.symmetric ? null : quantized.zeroPoint }
}

const RECIPE_FILE = 'recipe.yaml'

async function writeCompanions(source: OpenModel, { config, configFiles }: ConversionPlan, writer: CheckpointWriter): Promise<void> {
  for await (const { name, bytes } of companionFiles(source)) await writer.writeFile(name, bytes)
  const recipe = join(source.path, RECIPE_FILE)
  if (existsSync(recipe)) await writer.writeFile(RECIPE_FILE, await readFile(recipe))
  for (const { name, text } of configFiles) await writer.writeFile(name, text)
  await writer.writeFile('config.json', await configText(source.path, config))
}

/** A report came with the files: it is taken for what it says of names alone. */
async function rewrittenBefore(folder: string): Promise<string[]> {
  const report: unknown = await readJsonFile(join(folder, REPORT_FILE)).catch(() => null)
  const names = isJsonObject(report) && Array.isArray(report.rewritten) ? report.rewritten : []
  return names.filter((name): name is string => typeof name === 'string')
}

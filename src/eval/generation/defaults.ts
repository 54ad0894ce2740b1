import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type JsonObject, readJsonFile } from '../../checkpoint/json-file.ts'
import { section } from '../../models/config-values.ts'
import type { Sampling } from './sample.ts'

/** What a model folder says about generating: generation_config.json, beside config.json. */
export interface GenerationDefaults {
  /** Tokens that end a text. */
  readonly ends: ReadonlySet<number>
  /** What it wants to be sampled with; empty unless `do_sample` is true. */
  readonly sampling: Partial<Pick<Sampling, 'temperature' | 'topK' | 'topP'>>
}

/** Reads what is there. Values that are not what they should be count as left out. Errors: CheckpointError for a file that is no JSON. */
export async function readGenerationDefaults(folder: string, config: Readonly<JsonObject>): Promise<GenerationDefaults> {
  const file = join(folder, 'generation_config.json')
  const own: JsonObject = existsSync(file) ? await readJsonFile(file) : {}
  const ends = own.eos_token_id ?? config.eos_token_id ?? section(config, 'text_config')?.eos_token_id ?? []
  const { temperature, top_k: topK, top_p: topP } = own
  return {
    ends: new Set([ends].flat().filter((id): id is number => typeof id === 'number' && Number.isInteger(id))),
    sampling:
      own.do_sample === true
        ? {
            ...(typeof temperature === 'number' && temperature > 0 && { temperature }),
            ...(typeof topK === 'number' && Number.isInteger(topK) && topK >= 0 && { topK }),
            ...(typeof topP === 'number' && topP > 0 && topP <= 1 && { topP }),
          }
        : {},
  }
}

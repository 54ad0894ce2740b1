import { basename } from 'node:path'
import { Option } from 'commander'
import type { GenerateOptions } from '../eval/generation/generate.ts'
import type { RunRecord } from '../report/record.ts'
import type { Display } from './display.ts'
import { interruptible } from './interrupt.ts'
import { noteInReport } from './report-notes.ts'

/** `--sample-prompt`: what the model and the checkpoint write goes into the report. */
export function samplePromptOption(): Option {
  return new Option('--sample-prompt <text...>', 'show in the report what the model and the checkpoint make of these prompts').conflicts(
    // The page is uploaded before anything is written with the checkpoint; and whole models are read to write with them.
    ['pushToHub', 'maxMemory'],
  )
}

/** Has a model and its finished checkpoint write on from prompts with the same draws, and shows both texts in the checkpoint's report. */
export async function sampleRun(
  model: string,
  { output }: RunRecord,
  prompts: readonly string[],
  asked: Pick<GenerateOptions, 'engine' | 'threads' | 'localFilesOnly'>,
  display: Display,
): Promise<void> {
  if (prompts.length === 0) return
  const { generate } = await import('../index.ts')
  const { engine, threads, localFilesOnly } = asked
  const settings = { ...(engine && { engine }), ...(threads && { threads }), ...(localFilesOnly && { localFilesOnly }) }
  const total = 2 * prompts.length
  let done = 0
  const samples = await interruptible(async (signal) => {
    const found = []
    for (const prompt of prompts) {
      const texts = []
      for (const checkpoint of [model, output]) {
        display.show({ done: done++, total, label: `writing with ${basename(checkpoint)}`, etaSeconds: null })
        const { text } = await generate({ ...settings, model: checkpoint, prompt, signal })
        texts.push({ name: basename(checkpoint), text })
      }
      found.push({ prompt, texts })
    }
    return found
  }, 'Interrupted: the checkpoint is whole, its report has no new texts.')
  display.stop()
  await noteInReport(output, { samples })
}

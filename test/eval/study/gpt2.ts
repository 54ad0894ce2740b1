import { copyFile, cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { temporaryFolder } from '../../checkpoint/folders.ts'
import { oracleFolder } from '../../models/oracles.ts'

const TOKENIZER = fileURLToPath(new URL('./tokenizer.json', import.meta.url))

/** GPT-2 of three layers, 32 wide, with a tokenizer of one token a character (made by golden.py); a copy that can be damaged. */
export async function gpt2(): Promise<string> {
  const folder = join(await temporaryFolder(), 'gpt2')
  await cp(oracleFolder('architectures/gpt2'), folder, { recursive: true })
  await rm(join(folder, 'reference.safetensors'))
  await copyFile(TOKENIZER, join(folder, 'tokenizer.json'))
  return folder
}

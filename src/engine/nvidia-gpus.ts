import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** A GPU that the driver sees. */
export interface NvidiaGpu {
  readonly name: string
  /** Compute capability, 8.9 for an RTX 4090. */
  readonly capability: number
}

/** Long enough for a driver that has to wake up. */
const PATIENCE_MS = 5000

/** NVIDIA's GPUs of this machine by `nvidia-smi`, which comes with the driver; none where it is not there or does not answer. */
export async function nvidiaGpus(query: () => Promise<string> = askDriver): Promise<NvidiaGpu[]> {
  return parseGpus(await query().catch(() => ''))
}

async function askDriver(): Promise<string> {
  const args = ['--query-gpu=compute_cap,name', '--format=csv,noheader']
  const { stdout } = await promisify(execFile)('nvidia-smi', args, { timeout: PATIENCE_MS })
  return stdout
}

/** Lines such as `8.9, NVIDIA GeForce RTX 4090`; others say nothing (`[N/A], ...`, messages of the driver). */
function parseGpus(text: string): NvidiaGpu[] {
  const lines = [...text.matchAll(/^\s*(\d+\.\d+)\s*,\s*(\S.*?)\s*$/gm)]
  return lines.map(([, capability, name]) => ({ name, capability: Number(capability) }))
}

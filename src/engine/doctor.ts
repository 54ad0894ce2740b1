import { availableParallelism } from 'node:os'
import { cacheDirectory } from './cache-dir.ts'
import type { EngineName } from './engine.ts'
import { measureMatMul } from './measure.ts'
import { type NvidiaGpu, nvidiaGpus } from './nvidia-gpus.ts'
import { type Requirement, requirements } from './requirements.ts'
import { withEngine } from './with-engine.ts'

/** What this machine offers, for `llmpress doctor`. */
export interface Diagnosis {
  /** `v20.20.2` */
  node: string
  cores: number
  engine: EngineName
  detail: string
  rejected: readonly { engine: EngineName; why: string }[]
  /** Float32 matrix products on that engine. */
  gflops: number
  /** NVIDIA's GPUs that the driver sees, whether an engine uses them or not. */
  gpus: readonly NvidiaGpu[]
  /** Node and tfjs against package.json. */
  requirements: readonly Requirement[]
  cacheDir: string
}

/** Opens the best engine there is and measures it. */
export async function diagnose(): Promise<Diagnosis> {
  return withEngine({ engine: 'auto' }, async ({ name, detail, rejected }) => {
    const gflops = await measureMatMul()
    return {
      node: process.version,
      cores: availableParallelism(),
      engine: name,
      detail,
      rejected,
      gflops,
      gpus: await nvidiaGpus(),
      requirements: requirements(),
      cacheDir: cacheDirectory(),
    }
  })
}

import { UserError } from '../util/errors.ts'
import { formatBytes } from '../util/format-bytes.ts'
import { didYouMean } from '../util/nearest.ts'
import { parseBytes } from '../util/parse-bytes.ts'

/** Where a model is to run. */
export interface Device {
  readonly name: string
  /** Bytes. */
  readonly memory: number | null
  /** As servers write it: 89; null for a CPU, or where it is not known. */
  readonly capability: number | null
  /** Bytes per second that weights are read with, as its maker says; null where it is not known. */
  readonly bandwidth: number | null
}

/**
 * GiB of memory, compute capability, GB/s: NVIDIA's data sheets and developer.nvidia.com/cuda-gpus.
 */
const GPUS: Readonly<Record<string, readonly [memory: number, capability: number, bandwidth: number]>> = {
  V100: [32, 70, 900],
  T4: [16, 75, 320],
  'RTX 2080 Ti': [11, 75, 616],
  'RTX 3060': [12, 86, 360],
  'RTX 3080': [10, 86, 760],
  'RTX 3090': [24, 86, 936],
  A10: [24, 86, 600],
  A10G: [24, 86, 600],
  A40: [48, 86, 696],
  A6000: [48, 86, 768],
  'A100 40GB': [40, 80, 1555],
  A100: [80, 80, 2039],
  'Jetson AGX Orin': [64, 87, 205],
  'RTX 4060': [8, 89, 272],
  'RTX 4060 Ti 16GB': [16, 89, 288],
  'RTX 4070': [12, 89, 504],
  'RTX 4080': [16, 89, 717],
  'RTX 4090': [24, 89, 1008],
  L4: [24, 89, 300],
  L40S: [48, 89, 864],
  'RTX 6000 Ada': [48, 89, 960],
  H100: [80, 90, 3350],
  H200: [141, 90, 4800],
  B200: [180, 100, 8000],
  'RTX 5070': [12, 120, 672],
  'RTX 5070 Ti': [16, 120, 896],
  'RTX 5080': [16, 120, 960],
  'RTX 5090': [32, 120, 1792],
  'RTX PRO 6000': [96, 120, 1792],
}

const GIB = 2 ** 30
const plain = (name: string): string => name.toLowerCase().replace(/nvidia|geforce|tesla|[\s_-]+/g, '')

/** Names of the GPUs that are known. */
const GPU_NAMES: readonly string[] = Object.keys(GPUS)

/** A device by the name of its GPU, however spelled, by a size of memory (`24GB`), or `cpu`. Errors: UserError with the nearest name. */
export function deviceOf(wanted: string): Device {
  if (plain(wanted) === 'cpu') return { name: 'CPU', memory: null, capability: null, bandwidth: null }
  const name = GPU_NAMES.find((known) => plain(known) === plain(wanted))
  if (name !== undefined) {
    const [memory, capability, bandwidth] = GPUS[name]
    return { name, memory: memory * GIB, capability, bandwidth: bandwidth * 1e9 }
  }
  const memory = /[a-z]/i.test(wanted) ? parseBytes(wanted) : null
  if (memory !== null) return { name: `a GPU with ${formatBytes(memory)}`, memory, capability: null, bandwidth: null }
  throw new UserError(
    `Cannot use the GPU ${JSON.stringify(wanted)}: it is not known${didYouMean(wanted, GPU_NAMES)}, ` +
      `expected cpu, a size of memory such as 24GB, or one of ${GPU_NAMES.join(', ')}.`,
  )
}

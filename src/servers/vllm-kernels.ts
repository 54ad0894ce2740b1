import { fitsMarlinTiles, marlinTakes } from './marlin.ts'
import { type KernelInput, type Notice, type Ruling, refused, refusedEverywhere, runs, type Source, type Verdict } from './server.ts'

export const VLLM = 'vLLM 0.32.0'
const KERNELS = 'vllm/model_executor/kernels/linear'

/** A rule read in the source of vLLM, below vllm/model_executor. */
export function read(where: string): Source {
  return { version: VLLM, where, evidence: 'read' }
}

/** A rule that a checkpoint was loaded against, on an x86 CPU. */
export function ran(where: string): Source {
  return { version: VLLM, where, evidence: 'run' }
}

const CHOICE = read(`${KERNELS}/__init__.py: choose_mp_linear_kernel`)
const MARLIN = read(`${KERNELS}/mixed_precision/marlin.py: MarlinLinearKernel.can_implement`)
const TRITON = read(`${KERNELS}/mixed_precision/triton_w4a16.py: TritonW4A16LinearKernel.can_implement`)
const HUMMING = read(`${KERNELS}/mixed_precision/humming.py: HummingLinearKernel.can_implement`)
const CUTLASS = read(`${KERNELS}/mixed_precision/cutlass.py: CutlassW4A8LinearKernel.can_implement`)
const W4A8_FP8 = read(
  'vllm/model_executor/layers/quantization/compressed_tensors/schemes/compressed_tensors_w4a8_fp8.py: CompressedTensorsW4A8Fp8',
)
const DYNAMIC_4BIT = read(`${KERNELS}/mixed_precision/dynamic_4bit.py: Dynamic4bitLinearKernel.can_implement`)
const CPU_WNA16 = ran(`${KERNELS}/mixed_precision/cpu.py: CPUWNA16LinearKernel.can_implement`)

/** Heads are filled up to 64 rows (vocab_parallel_embedding.py: DEFAULT_VOCAB_PADDING_SIZE). */
const HEAD_PADDING = 64

/** Rows of the fused matrix. */
function rowsOf({ rows, isHead }: KernelInput): number {
  const sum = rows.reduce((total, part) => total + part, 0)
  return isHead ? Math.ceil(sum / HEAD_PADDING) * HEAD_PADDING : sum
}

function groupSize({ weights }: KernelInput): number {
  return weights.strategy === 'group' ? (weights.group_size ?? -1) : -1
}

/** No size at all for an NVIDIA GPU: Humming, which the CUDA build requires (requirements/cuda.txt), takes what the others leave. */
function gpuKernel(input: KernelInput): Verdict {
  const { num_bits: bits, symmetric } = input.weights
  const size = groupSize(input)
  if (marlinTakes(bits, symmetric, size)) return runs('Marlin', MARLIN, 75)
  if (bits === 4 && [32, 64, 128, 256, -1, input.columns].includes(size) && rowsOf(input) % 8 === 0) return runs('Triton', TRITON, 75)
  return runs('Humming', HUMMING, 75)
}

function cpuKernel(input: KernelInput): Verdict {
  const size = groupSize(input)
  const rows = rowsOf(input)
  if (input.weights.num_bits !== 4) return refused(`CPUs have integer kernels for 4 bits only, found ${input.weights.num_bits}`, CPU_WNA16)
  if (size !== -1 && size % 2 !== 0) return refused(`CPUWNA16 takes even group sizes, found ${size}`, CPU_WNA16)
  if (input.columns % 32 !== 0) return refused(`CPUWNA16 takes multiples of 32 columns, found ${input.columns}`, CPU_WNA16)
  if (rows % 32 !== 0) return refused(`CPUWNA16 takes multiples of 32 rows, found ${rows}`, CPU_WNA16)
  return runs('CPUWNA16', CPU_WNA16)
}

function padding(input: KernelInput): Notice[] {
  if (fitsMarlinTiles(rowsOf(input), input.columns)) return []
  const message = `Marlin pads ${rowsOf(input)} rows by ${input.columns} columns to its tiles (64 x 128 or 128 x 64), which costs some speed`
  return [{ severity: 'info', message, source: read('vllm/model_executor/layers/quantization/utils/marlin_utils.py: marlin_padded_nk') }]
}

/** Integer weights packed into words, by the widths of compressed_tensors_wNa16.py, for inputs of 16 bits. */
export function packedIntegers(input: KernelInput): Ruling {
  const { num_bits: bits } = input.weights
  if (bits < 2 || bits > 8) return refusedEverywhere(`integer weights have 2 to 8 bits, found ${bits}`, CHOICE)
  const nvidia = gpuKernel(input)
  return { nvidia, cpu: cpuKernel(input), notices: nvidia.runs && nvidia.kernel === 'Marlin' ? padding(input) : [] }
}

/** Packed integers under dynamic integer inputs: only Humming quantizes the inputs, and other kernels are asked first. */
export function packedIntegersAndInputs(input: KernelInput): Ruling {
  const ruling = packedIntegers(input)
  const ignoring = [ruling.nvidia, ruling.cpu].flatMap((verdict) => (verdict.runs && verdict.kernel !== 'Humming' ? [verdict.kernel] : []))
  if (ignoring.length === 0) return ruling
  const message = `${ignoring.join(' and ')} leave${ignoring.length === 1 ? 's' : ''} the inputs at 16 bits: only Humming quantizes them`
  return { ...ruling, notices: [...ruling.notices, { severity: 'warning', message, source: CHOICE }] }
}

/** 4-bit integers stored a byte each, under dynamic int8 inputs: PyTorch's kernels for CPUs. */
export function bytesOf4Bits(): Ruling {
  const nvidia = refused(
    'the only kernel asked that agrees, Humming, reads packed words, where int-quantized stores a byte a weight',
    read('vllm/model_executor/layers/quantization/utils/humming/linear.py: convert_linear_layer_to_humming_standard'),
  )
  return { nvidia, cpu: runs('dynamic 4-bit', DYNAMIC_4BIT), notices: [] }
}

/** 4-bit integers under float8 inputs: Hopper alone, by CUTLASS where sizes and type allow. */
export function int4Float8(input: KernelInput): Ruling {
  const { columns, dtype } = input
  const size = groupSize(input)
  const found = size === -1 ? 'one scale a row' : size
  const cutlass = rowsOf(input) % 128 === 0 && columns % 128 === 0 && (dtype === null || dtype === 'bfloat16')
  const kernel = cutlass ? runs('CUTLASS W4A8', CUTLASS, 90, 91) : runs('Humming', HUMMING, 90, 91)
  const nvidia = size === 128 ? kernel : refused(`groups of 128 are needed, found ${found}`, W4A8_FP8)
  return { nvidia, cpu: refused('W4A8 with float inputs is for compute capability 90 alone', W4A8_FP8), notices: [] }
}

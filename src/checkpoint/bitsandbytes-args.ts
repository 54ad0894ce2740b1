import type { FourBitType } from '../numerics/bitsandbytes-codes.ts'
import { CheckpointError } from '../util/errors.ts'
import type { QuantizationArgs } from './quantization-config.ts'

/** How a 4-bit weight of bitsandbytes is stored. */
interface FourBitArgs {
  readonly type: FourBitType
  readonly blockSize: number
  /** Its scales are quantized too. */
  readonly nested: boolean
  /** torch's name of the type that packed codes are stored as. */
  readonly storage: string
}

/** The args of NF4 or FP4 weights. Errors: CheckpointError for those of anything else. */
export function fourBitOf({ type, num_bits: bits, strategy, group_size: blockSize, bitsandbytes }: QuantizationArgs): FourBitArgs {
  if ((type !== 'nf4' && type !== 'fp4') || strategy !== 'group' || blockSize === null || !bitsandbytes) {
    throw new CheckpointError(
      `Cannot use bitsandbytes-4bit for weights: found ${type} with ${bits} bits, strategy ${strategy}, expected nf4 or fp4 in blocks.`,
    )
  }
  return { type, blockSize, nested: bitsandbytes.bnb_4bit_use_double_quant, storage: bitsandbytes.bnb_4bit_quant_storage }
}

/** The shape of 4-bit scales: by row where blocks divide the columns, else those of the flattened weight. */
export function fourBitScaleShape(rows: number, columns: number, blockSize: number): readonly number[] {
  return columns % blockSize === 0 ? [rows, columns / blockSize] : [Math.ceil((rows * columns) / blockSize)]
}

/** 32-bit and 16-bit types that loaders multiply in, by torch's name. */
export const COMPUTE_DTYPES = ['float32', 'bfloat16', 'float16'] as const

/** Types that packed 4-bit codes are said to be of, by torch's name, as transformers takes them. */
export const QUANT_STORAGES = ['uint8', 'int8', 'float16', 'bfloat16', 'float32', 'float64'] as const

/** Elements of a block in 4-bit files: bitsandbytes' default, which transformers leaves as it is. */
export const FOUR_BIT_BLOCK = 64

/** What LLM.int8 divides its largest magnitudes by to have a scale. */
export const INT8_LARGEST = 127

import { bytesOf, viewAs } from '../numerics/view.ts'
import { CheckpointError } from '../util/errors.ts'
import type { Quantized, StoredTensor } from './layouts/layout.ts'
import type { QuantizationArgs } from './quantization-config.ts'
import { type ReadSuffix, readStored } from './scale-tensors.ts'

/** The stored group of each column: `g_idx` of GPTQ files, `weight_g_idx` of older compressed-tensors. */
export function groupIndexTensor(suffix: string, columns: number): StoredTensor {
  return { suffix, dtype: 'I32', shape: [columns] }
}

/** The bytes of a group index; neighbours in a group where the matrix has no order of its own. */
export function encodeGroupIndex({ args, columns, groupOf }: Pick<Quantized, 'args' | 'columns' | 'groupOf'>): Uint8Array {
  return bytesOf(groupOf ?? plainIndex(args, columns))
}

/**
 * The group of each column, for `Quantized`: nothing where groups are runs of neighbours. Errors: CheckpointError for a group that there
 * are no scales of.
 */
export async function readGroupIndex(stored: StoredTensor, args: QuantizationArgs, read: ReadSuffix): Promise<Pick<Quantized, 'groupOf'>> {
  const [columns] = stored.shape
  const groups = args.group_size === null ? 1 : Math.ceil(columns / args.group_size)
  const index = viewAs(Int32Array, await readStored(stored, read)).slice()
  const wrong = index.findIndex((group) => group < 0 || group >= groups)
  if (wrong >= 0) {
    const message = `Cannot decode ${stored.suffix}: column ${wrong} is in group ${index[wrong]}, expected 0 to ${groups - 1}.`
    throw new CheckpointError(message, { tensor: stored.suffix })
  }
  const plain = plainIndex(args, columns)
  return index.every((group, column) => group === plain[column]) ? {} : { groupOf: index }
}

function plainIndex({ group_size: size }: QuantizationArgs, columns: number): Int32Array {
  return new Int32Array(columns).map((_, column) => (size === null ? 0 : Math.floor(column / size)))
}

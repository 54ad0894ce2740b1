import { packAcross, packDown, packedWords, unpackAcross, unpackDown } from '../numerics/int-pack.ts'
import { bytesOf, viewAs } from '../numerics/view.ts'
import { CheckpointError } from '../util/errors.ts'
import { encodeScalesAcross, readScalesAcross, readZeroPoints, scaleGrid, scalesAcross, storedZeroPoints } from './exchange-tensors.ts'
import { encodeGroupIndex, groupIndexTensor, readGroupIndex } from './group-index.ts'
import { integersProblem } from './integers-problem.ts'
import type { Layout } from './layouts/layout.ts'
import { readStored } from './scale-tensors.ts'

/** Numbers of bits that GPTQ files come with. */
const BITS = [2, 3, 4, 8]

/** Groups that GPTQModel's kernels take (`SUPPORTS_GROUP_SIZE` of its TorchLinear); or all columns, as -1. */
const GROUPS = [16, 32, 64, 128, 256, 512, 1024]

/** A one in every field of a word. */
const ONES: Readonly<Record<number, number>> = { 2: 0x55555555, 4: 0x11111111, 8: 0x01010101 }

/**
 * A layout of GPTQ: `qweight` I32 [in * bits / 32, out], each column a stream of codes, `qzeros` I32 [groups, out * bits / 32], `scales`
 * [groups, out], `g_idx` I32 [in]. Codes and zero points are unsigned: a symmetric weight has 2^(bits-1) everywhere.
 *
 * `less`: what is taken off zero points when they are stored, 1 in the first version of the format and 0 in gptq_v2. A zero point of 0 has
 * no field to be 1 less in. GPTQModel takes the ones off whole words and adds them to whole words, so that what one field borrows comes back
 * (its `convert_gptq_v1_to_v2_format_module`; of 3 bits it wraps each field): so is it done here. Kernels that add 1 to each field by itself
 * read such a file wrong, which is why asymmetric weights are written as gptq_v2.
 */
export function gptqLayout(format: string, less: 0 | 1): Layout {
  const tensors: Layout['tensors'] = (args, rows, columns, scaleDtype) => {
    if (!BITS.includes(args.num_bits)) {
      throw new CheckpointError(`Cannot use ${format} for weights: found ${args.num_bits} bits, expected ${BITS.join(', ')}.`)
    }
    const grid = scaleGrid(format, args, rows, columns)
    return [
      { suffix: 'qweight', dtype: 'I32', shape: [packedWords(columns, args.num_bits), rows] },
      { suffix: 'qzeros', dtype: 'I32', shape: [grid.groups, packedWords(rows, args.num_bits)] },
      scalesAcross(args, grid, scaleDtype),
      groupIndexTensor('g_idx', columns),
    ]
  }
  return {
    format,
    method: 'gptq',
    scales: 'scales',
    applies: () => false,
    refuses: (scheme, rows, columns) => {
      const { weights } = scheme
      const multiple = weights?.num_bits === 3 ? 32 : 32 / (weights?.num_bits ?? 4)
      return integersProblem(scheme, rows, columns, {
        name: 'GPTQ files',
        bits: BITS,
        groups: GROUPS,
        rowsOf: multiple,
        columnsOf: multiple,
      })
    },
    tensors,
    encode: (quantized) => {
      const { args, rows, columns, codes, scaleShape } = quantized
      const zeroPoint = storedZeroPoints(quantized)
      const zeros =
        less === 0 ? packDown(zeroPoint, rows, scaleShape[1], args.num_bits) : packLess(zeroPoint, rows, scaleShape[1], args.num_bits)
      return new Map([
        ['qweight', bytesOf(packAcross(viewAs(Int8Array, bytesOf(codes)), rows, columns, args.num_bits))],
        ['qzeros', bytesOf(zeros)],
        ['scales', encodeScalesAcross(quantized)],
        ['g_idx', encodeGroupIndex(quantized)],
      ])
    },
    decode: async (args, rows, columns, scaleDtype, read) => {
      const { num_bits: bits } = args
      const [weight, zeros, scales, index] = tensors(args, rows, columns, scaleDtype)
      const order = await readGroupIndex(index, args, read)
      const words = viewAs(Int32Array, await readStored(zeros, read))
      const zeroPoint = less === 0 ? unpackDown(words, rows, zeros.shape[0], bits) : unpackLess(words, rows, zeros.shape[0], bits)
      return {
        args: { ...args, actorder: order.groupOf ? 'group' : null },
        rows,
        columns,
        codes: unpackAcross(viewAs(Int32Array, await readStored(weight, read)), rows, columns, bits),
        ...(await readScalesAcross(scales, scaleDtype, read)),
        zeroPoint: readZeroPoints(zeroPoint, args),
        globalScale: null,
        ...order,
      }
    },
  }
}

/** Zero points [rows, groups] 1 less, as the first version of the format stores them. */
function packLess(zeroPoint: Int8Array, rows: number, groups: number, bits: number): Int32Array {
  if (bits === 3)
    return packDown(
      zeroPoint.map((value) => wrapped(value - 1, bits)),
      rows,
      groups,
      bits,
    )
  return packDown(zeroPoint, rows, groups, bits).map((word) => word - ONES[bits])
}

/** The inverse of `packLess`. */
function unpackLess(words: Int32Array, rows: number, groups: number, bits: number): Int8Array {
  if (bits === 3) return unpackDown(words, rows, groups, bits).map((value) => wrapped(value + 1, bits))
  return unpackDown(
    words.map((word) => word + ONES[bits]),
    rows,
    groups,
    bits,
  )
}

/** Into -2^(bits-1) .. 2^(bits-1)-1. */
function wrapped(value: number, bits: number): number {
  return (value << (32 - bits)) >> (32 - bits)
}

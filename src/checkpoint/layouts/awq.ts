import { packAwq, unpackAwq } from '../../numerics/awq-pack.ts'
import { bytesOf, viewAs } from '../../numerics/view.ts'
import { CheckpointError } from '../../util/errors.ts'
import { encodeScalesAcross, readScalesAcross, readZeroPoints, scaleGrid, scalesAcross, storedZeroPoints } from '../exchange-tensors.ts'
import { integersProblem } from '../integers-problem.ts'
import type { QuantizationArgs } from '../quantization-config.ts'
import { readStored } from '../scale-tensors.ts'
import type { Layout, StoredTensor } from './layout.ts'

/** Groups that GPTQModel's AWQ kernels take (`SUPPORTS_GROUP_SIZE` of its AwqTorchLinear); or all columns, as -1. */
const GROUPS = [16, 32, 64, 128]

/**
 * AutoAWQ's GEMM format: `qweight` I32 [in, out / 8] and `qzeros` I32 [groups, out / 8], eight 4-bit codes of neighbouring outputs to a word in the
 * order that its kernels read them, and `scales` [groups, out]. A symmetric weight has zero points of 8.
 */
export const layout: Layout = {
  format: 'awq',
  method: 'awq',
  scales: 'scales',
  applies: () => false,
  refuses: (scheme, rows, columns) =>
    scheme.weights?.actorder === 'group'
      ? 'AWQ files have no g_idx: groups must be runs of neighbouring columns, found columns in an order of their own'
      : integersProblem(scheme, rows, columns, { name: 'AWQ files', bits: [4], groups: GROUPS, rowsOf: 8, columnsOf: 1 }),
  tensors,
  encode: (quantized) => {
    const { rows, columns, codes, scaleShape, groupOf } = quantized
    if (groupOf) throw new RangeError('Cannot store an AWQ weight: found columns in an order of their own, expected groups of neighbours')
    return new Map([
      ['qweight', bytesOf(packAwq(viewAs(Int8Array, bytesOf(codes)), rows, columns))],
      ['qzeros', bytesOf(packAwq(storedZeroPoints(quantized), rows, scaleShape[1]))],
      ['scales', encodeScalesAcross(quantized)],
    ])
  },
  decode: async (args, rows, columns, scaleDtype, read) => {
    const [weight, zeros, scales] = tensors(args, rows, columns, scaleDtype)
    return {
      args,
      rows,
      columns,
      codes: unpackAwq(viewAs(Int32Array, await readStored(weight, read)), rows, columns),
      ...(await readScalesAcross(scales, scaleDtype, read)),
      zeroPoint: readZeroPoints(unpackAwq(viewAs(Int32Array, await readStored(zeros, read)), rows, zeros.shape[0]), args),
      globalScale: null,
    }
  },
}

function tensors(args: QuantizationArgs, rows: number, columns: number, scaleDtype: Parameters<Layout['tensors']>[3]): StoredTensor[] {
  if (args.num_bits !== 4 || rows % 8 !== 0) {
    throw new CheckpointError(
      `Cannot use awq for weights: found ${args.num_bits} bits and ${rows} output features, expected 4 bits and a multiple of 8.`,
    )
  }
  const grid = scaleGrid('awq', args, rows, columns)
  return [
    { suffix: 'qweight', dtype: 'I32', shape: [columns, rows / 8] },
    { suffix: 'qzeros', dtype: 'I32', shape: [grid.groups, rows / 8] },
    scalesAcross(args, grid, scaleDtype),
  ]
}

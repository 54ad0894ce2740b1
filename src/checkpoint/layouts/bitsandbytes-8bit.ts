import { bytesOf, viewAs } from '../../numerics/view.ts'
import { CheckpointError } from '../../util/errors.ts'
import { INT8_LARGEST } from '../bitsandbytes-args.ts'
import type { QuantizationArgs } from '../quantization-config.ts'
import { encodeScale, magnitudes, readStored } from '../scale-tensors.ts'
import type { Layout, StoredTensor } from './layout.ts'

/**
 * LLM.int8 of bitsandbytes: `weight` I8 [rows, columns], `SCB` F32 [rows], the largest magnitude of each row, and `weight_format`, a byte that is 0 (row
 * major, the only one of today). weight = code * SCB / 127. Which inputs stay in 16 bits is found at run time.
 */
export const layout: Layout = {
  format: 'bitsandbytes-8bit',
  method: 'bitsandbytes',
  scales: 'SCB',
  applies: () => false,
  refuses: (_, rows, columns) =>
    rows === 0 || columns === 0 ? `found a weight without elements, [${rows}, ${columns}], expected some` : null,
  tensors,
  encode: (quantized) => {
    const { codes, globalScale } = quantized
    if (globalScale !== INT8_LARGEST)
      throw new RangeError(`Cannot store LLM.int8: found scales over ${globalScale}, expected over ${INT8_LARGEST}`)
    return new Map([
      ['weight', bytesOf(codes)],
      ['SCB', encodeScale(quantized)],
      ['weight_format', Uint8Array.of(0)],
    ])
  },
  decode: async (args, rows, columns, _, read) => {
    const [weight, scb, format] = tensors(args, rows, columns)
    const [order] = await readStored(format, read)
    if (order !== 0) {
      const message = `Cannot decode weight_format: found ${order}, expected 0: only rows are read.`
      throw new CheckpointError(message, { tensor: 'weight_format' })
    }
    return {
      args,
      rows,
      columns,
      codes: viewAs(Int8Array, await readStored(weight, read)),
      scale: magnitudes(await readStored(scb, read), 'SCB'),
      scaleShape: [rows, 1],
      scaleDtype: 'F32',
      zeroPoint: null,
      globalScale: INT8_LARGEST,
    }
  },
}

function tensors({ type, num_bits: bits, strategy }: QuantizationArgs, rows: number, columns: number): StoredTensor[] {
  if (type !== 'int' || bits !== 8 || strategy !== 'channel' || rows === 0 || columns === 0) {
    const found = `${type} with ${bits} bits, strategy ${strategy}, for [${rows}, ${columns}]`
    throw new CheckpointError(`Cannot use bitsandbytes-8bit for weights: found ${found}, expected int with 8 bits and a scale a row.`)
  }
  return [
    { suffix: 'weight', dtype: 'I8', shape: [rows, columns] },
    { suffix: 'SCB', dtype: 'F32', shape: [rows] },
    { suffix: 'weight_format', dtype: 'U8', shape: [] },
  ]
}

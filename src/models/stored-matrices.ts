import { quantStateShape, quantStateSuffix } from '../checkpoint/quant-state.ts'
import type { TensorReader } from '../checkpoint/tensor-reader.ts'
import { viewAs } from '../numerics/view.ts'

/** A matrix of a checkpoint. */
export interface StoredMatrix {
  readonly rows: number
  readonly columns: number
  readonly bias: boolean
  /** False where its name says that it is something else: an embedding, a norm, a router, a convolution. */
  readonly isLinear: boolean
}

/** By the last part of a module's name. */
const NO_LINEAR = /embed|^wte$|^wpe$|^shared$|norm|^ln_|^ln\d|^gate$|router|_gate$|conv|relative_attention_bias|rotary/

/** Where bitsandbytes says what shape the codes of a linear stand for. */
const QUANT_STATES = [quantStateSuffix('nf4'), quantStateSuffix('fp4')]

/** All matrices of a checkpoint by module name, those of compressed linears with their logical shape. */
export async function storedMatrices(reader: TensorReader): Promise<ReadonlyMap<string, StoredMatrix>> {
  const matrices = new Map<string, StoredMatrix>()
  for (const { name, shape, dtype } of reader.tensors.values()) {
    const match = /^(.*)\.(?:weight(_packed)?|(qweight))$/.exec(name)
    if (!match || shape.length !== 2) continue
    const [, module, packed, exchanged] = match
    const columns = packed && dtype === 'U8' ? shape[1] * 2 : shape[1]
    const state = QUANT_STATES.map((suffix) => `${module}.${suffix}`).find((tensor) => reader.has(tensor))
    const plain = (state && quantStateShape(await reader.read(state))) || [shape[0], columns]
    const [rows, width] = exchanged
      ? exchangedShape(reader.tensors, module, plain)
      : packed && dtype === 'I32'
        ? await packedShape(reader, module)
        : plain
    const leaf = module.slice(module.lastIndexOf('.') + 1)
    const isLinear = !NO_LINEAR.test(leaf) && rows > 1 && width > 1
    matrices.set(module, { rows, columns: width, bias: reader.has(`${module}.bias`), isLinear })
  }
  return matrices
}

/** [out, in] of a GPTQ or AWQ linear: both have scales [groups, out]; in stands in `g_idx`, or in AWQ's `qweight` itself. */
export function exchangedShape(
  tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  module: string,
  plain: readonly number[],
): readonly number[] {
  const shapeOf = (suffix: string) => tensors.get(`${module}.${suffix}`)?.shape
  const [scales, index, weight] = [shapeOf('scales'), shapeOf('g_idx'), shapeOf('qweight')]
  const columns = index?.[0] ?? weight?.[0]
  return scales?.length === 2 && columns !== undefined ? [scales[1], columns] : plain
}

async function packedShape(reader: TensorReader, module: string): Promise<[number, number]> {
  const [rows, columns] = viewAs(BigInt64Array, await reader.read(`${module}.weight_shape`))
  return [Number(rows), Number(columns)]
}

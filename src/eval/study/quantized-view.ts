import { RewritingReader, type TensorRewrite } from '../../checkpoint/rewriting-reader.ts'
import type { Range } from '../../math/values.ts'
import { type OpenModel, tensorNames } from '../../models/open-model.ts'
import { type SimpleQuantizer, simplyQuantize } from '../simple-quantizers.ts'
import { floatDtypeOf } from '../tensor-ranges.ts'

/**
 * The names of a model's parameters in the order of its files: embeddings, norms and biases among them, a tied head once. Buffers that older
 * files hold, such as GPT-2's masks of attention, are none.
 */
export function parameterNames({ model, reader }: OpenModel): string[] {
  const named = tensorNames(model)
  const head = `${model.head().name}.weight`
  return [...reader.tensors.keys()].filter((name) => named.has(name) && !(model.tied && name === head))
}

/**
 * A model of which every parameter is replaced by what a simple quantizer leaves of it, as a view: tensors are quantized each time they are
 * read, by the range of the whole tensor, so nothing is written and no more is in memory than before. `ranges`: of all parameters.
 */
export function quantizedView(source: OpenModel, quantizer: SimpleQuantizer, ranges: ReadonlyMap<string, Range>): OpenModel {
  const rewrites = [...ranges].map(([name, range]): [string, TensorRewrite] => {
    const dtype = floatDtypeOf(source.reader.info(name))
    return [name, { from: name, byRow: true, rewrite: (values) => simplyQuantize(values, quantizer, range, dtype) }]
  })
  return { ...source, reader: new RewritingReader(source.reader, new Map(rewrites)) }
}

import type { TensorInfo } from '../checkpoint/tensor.ts'

/** A format by what only it stores: suffixes of tensors of one module, each with its types where others store that name too. */
const SIGNS: readonly (readonly [format: string, stored: Readonly<Record<string, readonly string[] | null>>])[] = [
  ['nvfp4-pack-quantized', { weight_packed: ['U8'], weight_scale: ['F8_E4M3'] }],
  ['mxfp4-pack-quantized', { weight_packed: ['U8'], weight_scale: ['U8', 'F8_E8M0'] }],
  ['pack-quantized', { weight_packed: ['I32'], weight_scale: null }],
  ['mxfp8-quantized', { weight: ['F8_E4M3'], weight_scale: ['U8', 'F8_E8M0'] }],
  ['float-quantized', { weight: ['F8_E4M3'], weight_scale: null }],
  ['int-quantized', { weight: ['I8'], weight_scale: null }],
  ['fp8', { weight: ['F8_E4M3'], weight_scale_inv: null }],
  ['gptq', { qweight: ['I32'], scales: null, g_idx: null }],
  ['awq', { qweight: ['I32'], scales: null, qzeros: null }],
  ['bitsandbytes', { weight: null, 'weight.absmax': null }],
  ['bitsandbytes', { weight: ['I8'], SCB: null }],
]

/**
 * What a checkpoint's tensors look like, whatever config.json says: the name of the format as config.json would have it; null where all are
 * plain.
 */
export function formatHint(tensors: Iterable<TensorInfo>): string | null {
  const types = new Map([...tensors].map(({ name, dtype }) => [name, dtype as string]))
  for (const [format, stored] of SIGNS) {
    const [[own, ownTypes], ...others] = Object.entries(stored)
    for (const [name, dtype] of types) {
      if (!name.endsWith(`.${own}`) || ownTypes?.includes(dtype) === false) continue
      const module = name.slice(0, -own.length)
      const fits = others.every(([suffix, allowed]) => {
        const type = types.get(module + suffix)
        return type !== undefined && allowed?.includes(type) !== false
      })
      if (fits) return format
    }
  }
  return null
}

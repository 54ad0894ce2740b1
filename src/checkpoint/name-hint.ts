/** What a model's name says of how it is compressed, as publishers add it: `Llama-2-7B-GPTQ`, `Qwen3-8B-W4A16-G128`. */
export interface NameHint {
  /** A method or a file format, in the spelling of the field; null where the name tells only how many bits. */
  readonly method: string | null
  /** `W4A16`, in capitals; null where the name has none. */
  readonly scheme: string | null
  /** Bits of a weight. */
  readonly bits: number | null
  /** Weights that share a scale. */
  readonly groupSize: number | null
}

/** A word of a name: between dashes, dots, underscores, or at its ends, so that `hawq` and `gguff` are none. */
const word = (pattern: string) => new RegExp(`(?<![a-z0-9])(?:${pattern})(?![a-z0-9])`, 'i')

/** Methods by their words, with the bits that they always have. What a file is comes before how its values were found. */
const METHODS: readonly (readonly [method: string, pattern: RegExp, bits: number | null])[] = [
  ['GGUF', word('gguf|ggml'), null],
  ['EXL2', word('exl2'), null],
  ['EXL3', word('exl3'), null],
  ['AWQ', word('awq'), null],
  ['GPTQ', word('gptq|gptqmodel|autogptq'), null],
  ['bitsandbytes', word('bnb|bitsandbytes'), null],
  ['NVFP4', word('nvfp4'), 4],
  ['MXFP4', word('mxfp4'), 4],
  ['NF4', word('nf4'), 4],
  ['FP4', word('fp4'), 4],
  ['FP8', word('fp8'), 8],
]

const SCHEME = word('(w(\\d{1,2})a\\d{1,2})')
/** `4bit`, `4-bit`, `8bits`, `int4`. A number with a `b` counts parameters. */
const BITS = word('([2-8])[-_ ]?bits?|int([2-8])')
/** llama.cpp's types: `Q4_K_M`, `Q8_0`, `IQ2_XXS`. */
const LLAMA_TYPE = word('i?q([2-8])_(?:[01k]|xx?s|s|m|nl)(?:_[a-z]{1,2})?')
/** `G128`, `gs128`, `128g`, `group128`. By itself it says nothing. */
const GROUP = word('(?:g|gs|group)[-_]?(\\d{2,4})|(\\d{2,4})g')

/** Weights that were trained for a format, or rounded to it, and are published in 16 bits again. */
const PLAIN = word('unquantized|dequantized|dequant')

/**
 * What the last part of a name (`org/name@revision`, a folder, a file) says of its compression, in any case of letters; null where it says
 * nothing. A guess: names are not checked by anyone, and what files say goes before it.
 */
export function nameHint(name: string): NameHint | null {
  const last = lastPart(name)
  if (PLAIN.test(last)) return null
  const [method = null, , always = null] = METHODS.find(([, pattern]) => pattern.test(last)) ?? []
  const [, scheme = null, schemeBits] = SCHEME.exec(last) ?? []
  const llama = LLAMA_TYPE.exec(last)
  const [, withUnit, integer] = BITS.exec(last) ?? []
  const told = schemeBits ?? withUnit ?? integer ?? llama?.[1]
  const bits = told === undefined ? always : Number(told)
  if (method === null && bits === null) return null
  const [, before, after] = GROUP.exec(last) ?? []
  const group = before ?? after
  return {
    method: method ?? (llama ? 'GGUF' : null),
    scheme: scheme?.toUpperCase() ?? null,
    bits,
    groupSize: group === undefined ? null : Number(group),
  }
}

/** For messages: `its name says GPTQ, 4 bits, groups of 128`, and for llama.cpp's files what to do instead; null where it says nothing. */
export function nameSays(name: string): string | null {
  const hint = nameHint(name)
  if (hint === null) return null
  const { method, scheme, bits, groupSize } = hint
  const amount = scheme ?? (bits === null ? null : `${bits} bits`)
  const parts = [method, amount, groupSize === null ? null : `groups of ${groupSize}`].filter((part) => part !== null)
  const remedy = method === 'GGUF' ? ' (files of llama.cpp, which are not read here; take the safetensors model that it was made from)' : ''
  return `its name says ${parts.join(', ')}${remedy}`
}

function lastPart(name: string): string {
  const parts = name.split(/[/\\]/).filter((part) => part !== '')
  return parts.at(-1)?.replace(/@.*$/, '') ?? ''
}

import type { FourBitType } from '../numerics/bitsandbytes-codes.ts'
import type { FloatDType } from '../numerics/dtype.ts'
import { NESTED_BLOCK } from '../numerics/dynamic-map.ts'
import { CheckpointError } from '../util/errors.ts'
import { isJsonObject, type JsonObject } from './json-file.ts'

/** What bitsandbytes stores of a 4-bit weight beside its tensors: JSON in a tensor of bytes (`QuantState.as_dict`). */
export interface QuantState {
  readonly type: FourBitType
  readonly blockSize: number
  /** The type that the weight had. */
  readonly dtype: FloatDType
  readonly rows: number
  readonly columns: number
  /** The mean of the scales, which are quantized without it; null where they are not quantized. */
  readonly offset: number | null
}

const NAMES: Readonly<Record<FloatDType, string>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' }

/** The most characters that Python prints of a float32: a sign, 17 digits, a point, an exponent, four zeros before small ones. */
const LONGEST_FLOAT = 24

/** The name of the tensor below the linear: its last part tells loaders the type. */
export function quantStateSuffix(type: FourBitType): string {
  return `weight.quant_state.bitsandbytes__${type}`
}

/** The bytes of the tensor, as Python's json.dumps writes them. */
export function encodeQuantState(state: QuantState): Uint8Array {
  return new TextEncoder().encode(textOf(state, (offset) => pythonFloat(offset)))
}

/** The most bytes that the tensor can have, whatever the offset. */
export function mostQuantStateBytes(state: Omit<QuantState, 'offset'>, nested: boolean): number {
  return textOf({ ...state, offset: nested ? 0 : null }, () => '0'.repeat(LONGEST_FLOAT)).length
}

function textOf({ type, blockSize, dtype, rows, columns, offset }: QuantState, printed: (offset: number) => string): string {
  const nested =
    offset === null ? '' : `, "nested_blocksize": ${NESTED_BLOCK}, "nested_dtype": "float32", "nested_offset": ${printed(offset)}`
  return `{"quant_type": "${type}", "blocksize": ${blockSize}, "dtype": "${NAMES[dtype]}", "shape": [${rows}, ${columns}]${nested}}`
}

/** A number as Python's repr has it: the digits are JavaScript's, exponents begin at other sizes and have two digits. */
function pythonFloat(value: number): string {
  if (Object.is(value, -0)) return '-0.0'
  const size = Math.abs(value)
  if (value === 0 || (size >= 1e-4 && size < 1e16)) return Number.isInteger(value) ? `${value}.0` : `${value}`
  const [digits, exponent] = value.toExponential().split('e')
  return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`
}

/** The shape that a tensor of this kind says its weight has; null where it says none. */
export function quantStateShape(bytes: Uint8Array): [rows: number, columns: number] | null {
  const [, rows, columns] = /"shape":\s*\[(\d{1,9}),\s*(\d{1,9})\]/.exec(new TextDecoder().decode(bytes.subarray(0, 4096))) ?? []
  return rows === undefined ? null : [Number(rows), Number(columns)]
}

/**
 * Reads the tensor of `suffix`, which must be about a weight like `expected`. Errors: CheckpointError naming the key, what was found and what
 * was expected.
 */
export function decodeQuantState(
  bytes: Uint8Array,
  suffix: string,
  expected: Omit<QuantState, 'dtype' | 'offset'>,
  nested: boolean,
): QuantState {
  const wrong = (found: string, wanted: string) =>
    new CheckpointError(`Cannot decode ${suffix}: found ${found}, expected ${wanted}.`, { tensor: suffix })
  let state: unknown
  try {
    state = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw wrong(`${bytes.length} bytes that are no JSON`, 'the text of an object')
  }
  if (!isJsonObject(state)) throw wrong('no object', 'one')
  const { type, blockSize, rows, columns } = expected
  const values: JsonObject = {
    quant_type: type,
    blocksize: blockSize,
    shape: [rows, columns],
    ...(nested && { nested_blocksize: NESTED_BLOCK, nested_dtype: NAMES.F32 }),
  }
  for (const [key, value] of Object.entries(values)) {
    if (JSON.stringify(state[key]) !== JSON.stringify(value))
      throw wrong(`${key} ${JSON.stringify(state[key])?.slice(0, 80)}`, JSON.stringify(value))
  }
  const { nested_offset: offset = null, dtype: name } = state
  const found = (Object.keys(NAMES) as FloatDType[]).find((key) => NAMES[key] === name)
  if (!found) throw wrong(`dtype ${JSON.stringify(name)?.slice(0, 80)}`, Object.values(NAMES).join(', '))
  if (!nested && offset === null) return { ...expected, dtype: found, offset: null }
  if (nested && typeof offset === 'number' && Number.isFinite(Math.fround(offset)))
    return { ...expected, dtype: found, offset: Math.fround(offset) }
  throw wrong(
    `nested_offset ${JSON.stringify(offset)?.slice(0, 80)}`,
    nested
      ? 'a float32, since config.json says bnb_4bit_use_double_quant'
      : 'none, since config.json does not say bnb_4bit_use_double_quant',
  )
}

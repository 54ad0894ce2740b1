import type { FloatDType } from './dtype.ts'

/** Floating point types by the names that torch and transformers have for them. */
export const FLOAT_DTYPES_BY_NAME = { float32: 'F32', float16: 'F16', bfloat16: 'BF16' } as const satisfies Readonly<
  Record<string, FloatDType>
>

export type FloatName = keyof typeof FLOAT_DTYPES_BY_NAME

export const FLOAT_NAMES = ['float32', 'float16', 'bfloat16'] as const satisfies readonly FloatName[]

export function isFloatName(name: string): name is FloatName {
  return Object.hasOwn(FLOAT_DTYPES_BY_NAME, name)
}

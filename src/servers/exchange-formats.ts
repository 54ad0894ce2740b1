import type { KernelInput } from './server.ts'

/** Whether a layer is stored in a format of GPTQ. */
export function isGptq({ format }: KernelInput): boolean {
  return format === 'gptq' || format === 'gptq_v2'
}

/** Whether a layer is stored in AutoAWQ's GEMM format. */
export function isAwq({ format }: KernelInput): boolean {
  return format === 'awq'
}

/** Whether a layer is stored in a format of bitsandbytes. */
export function isBitsAndBytes({ format }: KernelInput): boolean {
  return format === 'bitsandbytes-4bit' || format === 'bitsandbytes-8bit'
}

/** A layer as kernels see it where zero points are always read: AWQ's. */
export function withZeroPoints(input: KernelInput): KernelInput {
  return { ...input, weights: { ...input.weights, symmetric: false } }
}

import type { KernelInput } from './server.ts'

/**
 * Why block scales cannot be fused: where several linears become one matrix, a block must not span two of them, so that the rows of all but
 * the last are multiples of the block's. Null where they can. The same check in vLLM and SGLang (`validate_fp8_block_shape`), for one
 * device.
 */
export function blockProblem({ weights, rows }: KernelInput): string | null {
  if (!weights.block_structure) return null
  const [height] = weights.block_structure
  const wrong = rows.slice(0, -1).find((part) => part % height !== 0)
  if (wrong === undefined) return null
  return `linears of ${rows.join(', ')} rows are fused, and ${wrong} is not divisible by the ${height} rows of a block`
}

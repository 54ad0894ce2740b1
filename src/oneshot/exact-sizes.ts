import { planShards, totalBytes } from '../checkpoint/shards.ts'
import { readWeight } from '../models/open-model.ts'
import type { Plan } from './plan.ts'

/**
 * The plan with files of the exact size. Where only a weight tells how long a tensor is (the offset of double quantization is stored as text) weights are read
 * here, once more than the run does: a safetensors file begins with where everything lies in it. Errors: CheckpointError for weights that are not finite; the signal's
 * reason.
 */
export async function withExactSizes(plan: Plan, signal: AbortSignal): Promise<Plan> {
  const lengths = new Map<string, number>()
  for (const { spec, scheme, layout, dtype } of plan.linears) {
    const measure = scheme?.weights && layout?.lengths?.(scheme.weights, spec.rows, spec.columns, dtype)
    if (!measure) continue
    signal.throwIfAborted()
    for (const [suffix, length] of measure(await readWeight(plan.source, spec, 'quantize'))) lengths.set(`${spec.name}.${suffix}`, length)
  }
  if (lengths.size === 0) return plan
  const tensors = plan.shards.flatMap((shard) => shard.tensors)
  const exact = tensors.map((tensor) => ({ ...tensor, shape: lengths.has(tensor.name) ? [lengths.get(tensor.name) ?? 0] : tensor.shape }))
  return { ...plan, shards: planShards(exact), size: { ...plan.size, after: totalBytes(exact) } }
}

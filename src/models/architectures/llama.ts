import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core'
import * as tf from '@tensorflow/tfjs-core'
import type { Architecture, BatchShape, LayerHooks, LayerWalk, Model, Parameters, StageSpec } from '../architecture.ts'
import { type Config, count, flag, headSizes, oneOf, positive } from '../config-values.ts'
import { type AttentionTables, attention, attentionTables, rmsNorm, silu } from '../layers.ts'
import { readRope } from '../rope.ts'

const attentionInputs: StageSpec = {
  name: 'attention inputs',
  linears: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
  source: { kind: 'norm', name: 'input_layernorm', offset: 0 },
  addsToResidual: false,
}
const attentionOutput: StageSpec = {
  name: 'attention output',
  linears: ['self_attn.o_proj'],
  source: { kind: 'linear', name: 'self_attn.v_proj' },
  addsToResidual: true,
}
const mlpInputs: StageSpec = {
  name: 'mlp inputs',
  linears: ['mlp.gate_proj', 'mlp.up_proj'],
  source: { kind: 'norm', name: 'post_attention_layernorm', offset: 0 },
  addsToResidual: false,
}
const mlpOutput: StageSpec = {
  name: 'mlp output',
  linears: ['mlp.down_proj'],
  source: { kind: 'linear', name: 'mlp.up_proj' },
  addsToResidual: true,
}
const headStage: StageSpec = {
  name: 'head',
  linears: ['lm_head'],
  source: { kind: 'norm', name: 'model.norm', offset: 0 },
  addsToResidual: false,
}

const layerName = (layer: number) => `model.layers.${layer}`

/** Llama 1 to 3.3 and its likes: RMSNorm, rotary grouped-query attention, gated SiLU MLP, all before-norm. */
export const architecture: Architecture = { model }

function model(config: Config): Model {
  oneOf(config, 'hidden_act', ['silu'], 'silu')
  const hidden = count(config, 'hidden_size')
  const vocab = count(config, 'vocab_size')
  const inner = count(config, 'intermediate_size')
  const { heads, kvHeads, headDim } = headSizes(config)
  const epsilon = positive(config, 'rms_norm_eps', 1e-6)
  const attentionBias = flag(config, 'attention_bias', false)
  const mlpBias = flag(config, 'mlp_bias', false)
  const rope = readRope(config, headDim)
  const shape = { heads, kvHeads, headDim, scale: 1 / Math.sqrt(headDim) }

  const sizes: Record<string, { rows: number; columns: number; bias: boolean }> = {
    'self_attn.q_proj': { rows: heads * headDim, columns: hidden, bias: attentionBias },
    'self_attn.k_proj': { rows: kvHeads * headDim, columns: hidden, bias: attentionBias },
    'self_attn.v_proj': { rows: kvHeads * headDim, columns: hidden, bias: attentionBias },
    'self_attn.o_proj': { rows: hidden, columns: heads * headDim, bias: attentionBias },
    'mlp.gate_proj': { rows: inner, columns: hidden, bias: mlpBias },
    'mlp.up_proj': { rows: inner, columns: hidden, bias: mlpBias },
    'mlp.down_proj': { rows: hidden, columns: inner, bias: mlpBias },
  }

  function* walk(layer: number, h: Tensor2D, w: Parameters, tables: AttentionTables, batch: BatchShape, hooks?: LayerHooks): LayerWalk {
    const norm = (name: string, x: Tensor2D) => rmsNorm(x, weight(w, `${layerName(layer)}.${name}.weight`), epsilon)
    const [q, k, v] = yield { stage: attentionInputs, input: norm('input_layernorm', h), keep: [h] }
    const [o] = yield { stage: attentionOutput, input: attention(q, k, v, shape, tables, batch, hooks), keep: [h], residual: h }
    const middle = tf.add<Tensor2D>(h, o)
    const [gate, up] = yield { stage: mlpInputs, input: norm('post_attention_layernorm', middle), keep: [middle] }
    const [down] = yield { stage: mlpOutput, input: tf.mul(silu(gate), up), keep: [middle], residual: middle }
    return tf.add(middle, down)
  }

  function* walkHead(h: Tensor2D, w: Parameters): LayerWalk {
    const [logits] = yield { stage: headStage, input: rmsNorm(h, weight(w, 'model.norm.weight'), epsilon), keep: [] }
    return logits
  }

  return {
    modelType: 'llama',
    layers: count(config, 'num_hidden_layers'),
    hidden,
    vocab,
    maxPositions: count(config, 'max_position_embeddings', 2048),
    attention: { module: 'self_attn', heads, kvHeads, headDim },
    tied: flag(config, 'tie_word_embeddings', false),
    embedding: 'model.embed_tokens',
    stages: [attentionInputs, attentionOutput, mlpInputs, mlpOutput],
    headStage,
    layerName,
    linears: (layer) => Object.entries(sizes).map(([name, size]) => ({ name: `${layerName(layer)}.${name}`, ...size })),
    parameters: (layer) =>
      ['input_layernorm', 'post_attention_layernorm'].map((name) => ({ name: `${layerName(layer)}.${name}.weight`, shape: [hidden] })),
    outerParameters: () => [
      { name: 'model.embed_tokens.weight', shape: [vocab, hidden] },
      { name: 'model.norm.weight', shape: [hidden] },
    ],
    head: () => ({ name: 'lm_head', rows: vocab, columns: hidden, bias: false }),
    shared: (length) => [...attentionTables(rope, length)],
    embed: (rows) => tf.clone(rows),
    walk: (layer, h, w, shared, batch, hooks) => walk(layer, h, w, shared as AttentionTables, batch, hooks),
    walkHead,
  }
}

function weight(parameters: Parameters, name: string): Tensor {
  const tensor = parameters.get(name)
  if (!tensor) throw new RangeError(`Cannot walk the layer: ${name} was not loaded, expected every tensor of parameters()`)
  return tensor
}

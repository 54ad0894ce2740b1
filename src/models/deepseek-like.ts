import type { Model, TextModel } from './architecture.ts'
import { type Config, count, flag, mustBe, optional, positive, wholeNumber } from './config-values.ts'
import { byKind } from './layer-kinds.ts'
import { llamaLike, preNormLayer } from './llama-like.ts'
import { readActivation } from './parts/activations.ts'
import { experts } from './parts/experts.ts'
import { latentAttention } from './parts/latent-attention.ts'
import { gatedMlp } from './parts/mlp.ts'
import type { Router, RouterGroups, RouterSpec } from './parts/router.ts'
import { rotaryTables } from './parts/tables.ts'
import { readRope, ropeSection } from './rope.ts'
import { yarnScale } from './rope-scaling.ts'

/** What tells DeepSeek's models apart. */
export interface DeepseekKind {
  readonly modelType: string
  /** Neighbouring channels are rotated together. */
  readonly interleaved: boolean
  /** Of the plain MLPs and the shared experts. */
  readonly mlpBias: boolean
  router(spec: RouterSpec, groups: RouterGroups, scale: number): Router
}

/** DeepSeek-V2 and V3: multi-head latent attention; a mixture of experts with shared ones, after some layers with a plain MLP. */
export function deepseekLike(config: Config, kind: DeepseekKind, at?: TextModel): Model {
  const hidden = count(config, 'hidden_size')
  const heads = count(config, 'num_attention_heads')
  const [plainDim, rotaryDim] = [count(config, 'qk_nope_head_dim'), count(config, 'qk_rope_head_dim')]
  const headDim = plainDim + rotaryDim
  const norm = { epsilon: positive(config, 'rms_norm_eps') }
  const attention = latentAttention({
    hidden,
    heads,
    queryRank: config.q_lora_rank === null ? null : count(config, 'q_lora_rank'),
    valueRank: count(config, 'kv_lora_rank'),
    plainDim,
    rotaryDim,
    valueDim: count(config, 'v_head_dim'),
    scale: headDim ** -0.5 * attentionScale(config),
    bias: flag(config, 'attention_bias'),
    rotary: rotaryTables(readRope(config, rotaryDim), kind.interleaved),
  })
  const activation = readActivation(config, 'hidden_act')
  const mlp = gatedMlp({ hidden, inner: count(config, 'intermediate_size'), activation, bias: kind.mlpBias })
  const mixture = mixtureOf(config, kind, hidden)
  const dense = wholeNumber(config, 'first_k_dense_replace')
  const sparse = Array.from({ length: count(config, 'num_hidden_layers') }, (_, layer) => layer >= dense)
  const layer = byKind(sparse, (isSparse) => preNormLayer(config, norm, attention, isSparse ? mixture : mlp))
  return llamaLike({ modelType: kind.modelType, config, norm, heads: { heads, kvHeads: heads, headDim }, layer }, at)
}

function mixtureOf(config: Config, kind: DeepseekKind, hidden: number): ReturnType<typeof experts> {
  mustBe(config, 'moe_layer_freq', 1)
  const number = count({ n_routed_experts: config.num_local_experts ?? config.n_routed_experts }, 'n_routed_experts')
  const inner = count(config, 'moe_intermediate_size')
  const activation = readActivation(config, 'hidden_act')
  const router = { name: 'mlp.gate', hidden, experts: number, chosen: count(config, 'num_experts_per_tok') }
  const groups = { count: count(config, 'n_group', 1), chosen: count(config, 'topk_group', 1) }
  return experts({
    hidden,
    inner,
    count: number,
    module: 'mlp.experts',
    activation,
    router: kind.router(router, groups, positive(config, 'routed_scaling_factor')),
    shared: gatedMlp({
      hidden,
      inner: inner * count(config, 'n_shared_experts'),
      module: 'mlp.shared_experts',
      activation,
      bias: kind.mlpBias,
    }),
  })
}

/** Where positions are stretched, scores are multiplied by the square of YaRN's scale for `mscale_all_dim`. */
function attentionScale(config: Config): number {
  const scaling = ropeSection(config)
  const type = scaling?.rope_type ?? scaling?.type ?? 'default'
  const multiplier = scaling && type !== 'default' ? optional({ m: scaling.mscale_all_dim || null }, 'm') : null
  return scaling && multiplier !== null ? yarnScale(positive(scaling, 'factor'), multiplier) ** 2 : 1
}

import type { Architecture } from '../architecture.ts'
import { flag, oneOf } from '../config-values.ts'
import { deepseekLike } from '../deepseek-like.ts'
import { groupedSoftmaxRouter, softmaxRouter } from '../parts/router.ts'

/** DeepSeek-V2 (arXiv 2405.04434): softmax routing, in the large model within the best groups of experts. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 102_400,
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    hidden_act: 'silu',
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    attention_bias: false,
    mlp_bias: false,
    first_k_dense_replace: 0,
    kv_lora_rank: 512,
    q_lora_rank: 1536,
    n_group: 1,
    n_routed_experts: 64,
    n_shared_experts: 2,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    routed_scaling_factor: 1,
    topk_group: 1,
    topk_method: 'greedy',
    v_head_dim: 128,
    moe_intermediate_size: 1407,
  },
  model: (config, at) => {
    const method = oneOf(config, 'topk_method', ['greedy', 'group_limited_greedy'])
    return deepseekLike(
      config,
      {
        modelType: 'deepseek_v2',
        interleaved: true,
        mlpBias: flag(config, 'mlp_bias'),
        router: (spec, groups, scale) =>
          method === 'greedy' ? softmaxRouter({ ...spec, normalize: false, scale }) : groupedSoftmaxRouter({ ...spec, groups, scale }),
      },
      at,
    )
  },
}

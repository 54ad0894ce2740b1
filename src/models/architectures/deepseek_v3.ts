import type { Architecture } from '../architecture.ts'
import { flag } from '../config-values.ts'
import { deepseekLike } from '../deepseek-like.ts'
import { sigmoidRouter } from '../parts/router.ts'

/** DeepSeek-V3 and R1 (arXiv 2412.19437): sigmoid routing with a bias that balances the experts. */
export const architecture: Architecture = {
  defaults: {
    vocab_size: 129_280,
    hidden_size: 7168,
    intermediate_size: 18_432,
    num_hidden_layers: 61,
    num_attention_heads: 128,
    hidden_act: 'silu',
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: false,
    attention_bias: false,
    first_k_dense_replace: 3,
    kv_lora_rank: 512,
    q_lora_rank: 1536,
    n_group: 8,
    n_routed_experts: 256,
    n_shared_experts: 1,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    routed_scaling_factor: 2.5,
    topk_group: 4,
    v_head_dim: 128,
    moe_intermediate_size: 2048,
    num_experts_per_tok: 8,
    norm_topk_prob: true,
    rope_interleave: true,
  },
  model: (config, at) =>
    deepseekLike(
      config,
      {
        modelType: 'deepseek_v3',
        interleaved: flag(config, 'rope_interleave'),
        mlpBias: false,
        router: (spec, groups, scale) => sigmoidRouter({ ...spec, groups, scale, normalize: flag(config, 'norm_topk_prob') }),
      },
      at,
    ),
}

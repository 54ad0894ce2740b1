import type { Architecture } from '../architecture.ts'
import { flag } from '../config-values.ts'
import { deepseekLike } from '../deepseek-like.ts'
import { sigmoidRouter } from '../parts/router.ts'

/** DeepSeek-V3 and R1 (arXiv 2412.19437): sigmoid routing with a bias that balances the experts. */
export const architecture: Architecture = {
  model: (config, at) =>
    deepseekLike(
      config,
      {
        modelType: 'deepseek_v3',
        interleaved: flag(config, 'rope_interleave', true),
        denseLayers: 3,
        router: (spec, groups, scale) => sigmoidRouter({ ...spec, groups, scale, normalize: flag(config, 'norm_topk_prob', true) }),
      },
      at,
    ),
}

import type { Architecture } from '../architecture.ts'
import { oneOf } from '../config-values.ts'
import { deepseekLike } from '../deepseek-like.ts'
import { groupedSoftmaxRouter, softmaxRouter } from '../parts/router.ts'

/** DeepSeek-V2 (arXiv 2405.04434): softmax routing, in the large model within the best groups of experts. */
export const architecture: Architecture = {
  model: (config, at) => {
    const method = oneOf(config, 'topk_method', ['greedy', 'group_limited_greedy'], 'greedy')
    return deepseekLike(
      config,
      {
        modelType: 'deepseek_v2',
        interleaved: true,
        denseLayers: 0,
        router: (spec, groups, scale) =>
          method === 'greedy' ? softmaxRouter({ ...spec, normalize: false, scale }) : groupedSoftmaxRouter({ ...spec, groups, scale }),
      },
      at,
    )
  },
}

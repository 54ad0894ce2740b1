/** How much GPTQ does beyond its paper, from little to all: each level includes the one before. */
export type Quality = 'fast' | 'balanced' | 'best'

/** How the grid of a weight is found before GPTQ rounds to it. */
export type ScaleSearch = 'conditional_variance' | 'hessian_diagonal' | 'observer'

/** What GPTQ does beyond its paper, one lever a field. */
export interface Levers {
  readonly scaleSearch: ScaleSearch
  /** Negative scales where the larger end of a group is negative: symmetric weight-only schemes. */
  readonly signedScales: boolean
  /** How often codes are descended after the sweep, and scales of integers refitted. */
  readonly refinementRounds: number
  /** 0 to 1: how far q/k/v and gate/up make up for what earlier layers changed in their inputs. */
  readonly inputTarget: number
  /** 0 to 1: how far o and down make up for the error that the residual stream has gathered. */
  readonly residualTarget: number
}

/** The options that levers have in recipes: null or left out takes what the quality says. */
export interface LeverOptions {
  readonly quality?: Quality
  readonly scale_search?: ScaleSearch | null
  readonly signed_scales?: boolean | null
  readonly refinement_rounds?: number | null
  readonly input_target?: number | null
  readonly residual_target?: number | null
}

const LEVELS: Readonly<Record<Quality, Levers>> = {
  fast: { scaleSearch: 'conditional_variance', signedScales: false, refinementRounds: 0, inputTarget: 0, residualTarget: 0 },
  balanced: { scaleSearch: 'conditional_variance', signedScales: true, refinementRounds: 3, inputTarget: 0, residualTarget: 0 },
  // Input target 1 against 0.5 on SmolLM2-135M: 17.82 against 18.18 at 4 bits, 20.43 against 20.68 at 3 (held-back rows cap the step).
  best: { scaleSearch: 'conditional_variance', signedScales: true, refinementRounds: 3, inputTarget: 1, residualTarget: 0.5 },
}

/** JSON schema properties of `LeverOptions`. */
export const leverOptions = {
  quality: {
    enum: ['fast', 'balanced', 'best'],
    default: 'balanced',
    description:
      'How much is done beyond plain GPTQ. fast: scales searched by conditional variance. balanced: also negative scales, refit and descent. best: also the targets, which need a second forward pass. Not in llm-compressor.',
  },
  scale_search: {
    enum: ['conditional_variance', 'hessian_diagonal', 'observer', null],
    description:
      'How scales are found: by the error that later columns cannot make up for, by the mean square of the inputs, or by the observer. An observer that is named is used. Default: see quality.',
  },
  signed_scales: {
    type: ['boolean', 'null'],
    description:
      'Allows negative scales, which put the larger end of a group on the larger end of the codes; symmetric weight-only schemes. Default: see quality.',
  },
  refinement_rounds: {
    anyOf: [{ type: 'integer', minimum: 0, maximum: 20 }, { type: 'null' }],
    description: 'Rounds of coordinate descent on the codes and, of integers, least-squares refit of the scales. Default: see quality.',
  },
  input_target: {
    anyOf: [{ type: 'number', minimum: 0, maximum: 1 }, { type: 'null' }],
    description: 'Makes up for the drift of the inputs of q/k/v and gate/up, 0 to 1. Default: see quality.',
  },
  residual_target: {
    anyOf: [{ type: 'number', minimum: 0, maximum: 1 }, { type: 'null' }],
    description: 'Pays back the error of the residual stream with o and down, 0 to 1. Default: see quality.',
  },
} as const

/** The levers that options set. */
export function leversOf(options: LeverOptions): Levers {
  const level = LEVELS[options.quality ?? 'balanced']
  return {
    scaleSearch: options.scale_search ?? level.scaleSearch,
    signedScales: options.signed_scales ?? level.signedScales,
    refinementRounds: options.refinement_rounds ?? level.refinementRounds,
    inputTarget: options.input_target ?? level.inputTarget,
    residualTarget: options.residual_target ?? level.residualTarget,
  }
}

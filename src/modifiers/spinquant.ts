import type { FromSchema } from 'json-schema-to-ts'
import { attentionOf } from '../models/attention-of.ts'
import type { OpenModel } from '../models/open-model.ts'
import { type Rotation, rotationOf } from '../numerics/rotation.ts'
import { UserError } from '../util/errors.ts'
import type { ModifierDefinition } from './modifier.ts'
import { rotateModel } from './rotations/rotate-model.ts'

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    rotations: {
      type: 'array',
      items: { type: 'string' },
      minItems: 1,
      default: ['R1', 'R2'],
      description:
        'R1 turns the residual stream, R2 the values of each head. R3 and R4 work at run time, where loaders leave them out, and are refused.',
    },
    transform_type: {
      enum: ['hadamard', 'random-hadamard', 'random-matrix'],
      default: 'hadamard',
      description:
        'hadamard, random-hadamard (with random signs) or random-matrix (a small random orthogonal matrix times a Hadamard matrix, for sizes without one of their own).',
    },
    transform_block_size: {
      anyOf: [{ type: 'integer', minimum: 1 }, { type: 'null' }],
      description: 'R1 in blocks of so many channels; null turns all together.',
    },
    seed: { type: 'integer', minimum: 0, default: 0, description: 'Of the random types. Not in llm-compressor.' },
    randomize: { type: 'boolean', default: false, description: 'Only false, as in llm-compressor.' },
    learnable: { type: 'boolean', default: false, description: 'Only false, as in llm-compressor.' },
    precision: {
      type: ['string', 'null'],
      description: 'Accepted for llm-compressor recipes: rotations are computed in float64 and rounded once.',
    },
    mappings: { type: ['object', 'null'], description: 'Only null: the architecture says what is rotated.' },
    norm_mappings: { type: ['array', 'object', 'null'], description: 'Only null: the architecture says what is rotated.' },
    transform_config: { type: ['object', 'null'], description: 'Only null: it would override the other options.' },
    requires_calibration_data: { type: 'boolean', description: 'Accepted because llm-compressor writes it into its recipe.yaml.' },
  },
} as const

type Options = FromSchema<typeof schema>

/** SpinQuant (arXiv 2405.16406) without learning, which is QuaRot's (arXiv 2404.00456) offline part: rotations fused into the weights. */
export const modifier: ModifierDefinition<Options> = {
  names: ['SpinQuantModifier', 'spinquant'],
  description:
    'Rotates the residual stream and the values of heads, which spreads outliers and leaves the function as it is (arXiv 2405.16406).',
  schema,
  quantizes: false,
  needs: () => 'weights',
  rewrites: async (options, source) => {
    const wanted = wantedRotations(options)
    const { hidden } = source.model
    return rotateModel(source, {
      residual: wanted.has('R1') ? residualRotation(options, source, hidden) : null,
      heads: wanted.has('R2') ? rotation(options, attentionOf(source.model).headDim, 'head_dim', 1) : null,
    })
  },
  create: () => ({ apply: async () => {} }),
}

/** Errors: UserError for an option that cannot be had. */
function wantedRotations({ rotations, ...options }: Options): ReadonlySet<string> {
  for (const key of ['randomize', 'learnable'] as const) {
    if (options[key]) throw new UserError(`Cannot use ${key}: found true, expected false: rotations are fixed here, as in llm-compressor.`)
  }
  for (const key of ['mappings', 'norm_mappings', 'transform_config'] as const) {
    if (!options[key]) continue
    throw new UserError(`Cannot use ${key}: what is rotated follows from the architecture, expected null or no ${key}.`)
  }
  const names = rotations.map((name) => name.toUpperCase())
  for (const name of names) {
    if (name === 'R1' || name === 'R2') continue
    const online = name === 'R3' || name === 'R4'
    const found = online ? 'it turns activations at run time, which transformers leaves out without a word' : 'there is no such rotation'
    throw new UserError(`Cannot use rotation ${name}: ${found}, expected R1 and R2.`)
  }
  return new Set(names)
}

function residualRotation(options: Options, { name }: OpenModel, hidden: number): Rotation {
  const size = options.transform_block_size ?? hidden
  if (hidden % size === 0) return rotation(options, size, size === hidden ? 'hidden_size' : 'transform_block_size', 0)
  throw new UserError(`Cannot rotate ${name}: transform_block_size is ${size}, expected a divisor of the hidden size, ${hidden}.`)
}

/** `stream` keeps the random numbers of one rotation from those of another. */
function rotation({ transform_type: type, seed }: Options, size: number, key: string, stream: number): Rotation {
  const found = rotationOf(type, size, 2 * seed + stream)
  if (found) return found
  throw new UserError(
    `Cannot rotate by a Hadamard matrix: ${key} is ${size}, and none of that order is known here, expected transform_type random-matrix.`,
  )
}

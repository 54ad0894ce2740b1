// Writes a checkpoint of random bfloat16 weights in the shape of a Llama, to measure time and memory with:
//   npm run build && node tools/make-random-checkpoint.js --shape llama-3-8b --layers 4 [--out DIR] [--seed N]
// Weights are normal with deviation 0.02, as models are initialised; norms are 1. A layer has the same weights whatever the number of
// layers. One chunk is in memory at a time. The tokenizer is that of examples/models/docs-llama-4m: its ids are below every shape's
// vocabulary, so built-in data works.
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const built = (/** @type {string} */ path) => new URL(`../dist/${path}`, import.meta.url).href
const { planShards, tensorBytes } = await import(built('checkpoint/shards.js'))
const { CheckpointWriter } = await import(built('checkpoint/writer.js'))
const { encodeBf16 } = await import(built('numerics/bf16.js'))
const { UserError } = await import(built('util/errors.js'))
const { seededUint32 } = await import(built('util/rng.js'))

/**
 * @typedef {{ hidden: number, inner: number, heads: number, kvHeads: number, vocab: number, layers: number, positions: number, theta: number,
 *   tied: boolean }} Shape
 * @typedef {{ name: string, dtype: 'BF16', shape: readonly number[] }} TensorInfo
 */

/** @type {Readonly<Record<string, Shape>>} */
const SHAPES = {
  tiny: { hidden: 128, inner: 256, heads: 4, kvHeads: 2, vocab: 4096, layers: 2, positions: 512, theta: 10000, tied: true },
  small: { hidden: 512, inner: 1536, heads: 8, kvHeads: 4, vocab: 4096, layers: 8, positions: 2048, theta: 10000, tied: false },
  'smollm2-135m': { hidden: 576, inner: 1536, heads: 9, kvHeads: 3, vocab: 49152, layers: 30, positions: 8192, theta: 100000, tied: true },
  'llama-3-8b': {
    hidden: 4096,
    inner: 14336,
    heads: 32,
    kvHeads: 8,
    vocab: 128256,
    layers: 32,
    positions: 8192,
    theta: 500000,
    tied: false,
  },
}

const DEVIATION = 0.02
const CHUNK = 8 << 20
const TOKENIZER = ['tokenizer.json', 'tokenizer_config.json']

/**
 * Every tensor in the order of the walk.
 * @param {Shape} shape
 * @param {number} layers
 * @returns {TensorInfo[]}
 */
function tensorsOf({ hidden, inner, heads, kvHeads, vocab, tied }, layers) {
  const headDim = hidden / heads
  /** @type {(name: string, ...shape: number[]) => TensorInfo} */
  const tensor = (name, ...shape) => ({ name: `${name}.weight`, dtype: 'BF16', shape })
  const layer = (/** @type {string} */ base) => [
    tensor(`${base}.input_layernorm`, hidden),
    tensor(`${base}.self_attn.q_proj`, heads * headDim, hidden),
    tensor(`${base}.self_attn.k_proj`, kvHeads * headDim, hidden),
    tensor(`${base}.self_attn.v_proj`, kvHeads * headDim, hidden),
    tensor(`${base}.self_attn.o_proj`, hidden, heads * headDim),
    tensor(`${base}.post_attention_layernorm`, hidden),
    tensor(`${base}.mlp.gate_proj`, inner, hidden),
    tensor(`${base}.mlp.up_proj`, inner, hidden),
    tensor(`${base}.mlp.down_proj`, hidden, inner),
  ]
  return [
    tensor('model.embed_tokens', vocab, hidden),
    ...Array.from({ length: layers }, (_, index) => layer(`model.layers.${index}`)).flat(),
    tensor('model.norm', hidden),
    ...(tied ? [] : [tensor('lm_head', vocab, hidden)]),
  ]
}

/**
 * @param {Shape} shape
 * @param {number} layers
 */
function configOf({ hidden, inner, heads, kvHeads, vocab, positions, theta, tied }, layers) {
  return {
    architectures: ['LlamaForCausalLM'],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: 0,
    dtype: 'bfloat16',
    eos_token_id: 0,
    head_dim: hidden / heads,
    hidden_act: 'silu',
    hidden_size: hidden,
    initializer_range: DEVIATION,
    intermediate_size: inner,
    max_position_embeddings: positions,
    mlp_bias: false,
    model_type: 'llama',
    num_attention_heads: heads,
    num_hidden_layers: layers,
    num_key_value_heads: kvHeads,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_parameters: { rope_theta: theta, rope_type: 'default' },
    tie_word_embeddings: tied,
    use_cache: true,
    vocab_size: vocab,
  }
}

/**
 * 65536 normal numbers as bfloat16 patterns (Box-Muller): a tensor draws from them with 16 bits an element.
 * @returns {Uint16Array}
 */
function normalTable() {
  const next = seededUint32(1)
  const uniform = () => (next() + 0.5) / 2 ** 32
  const values = Float32Array.from(
    { length: 65536 },
    () => DEVIATION * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  )
  return encodeBf16(values)
}

/**
 * FNV-1a: the seed of a tensor follows from its name.
 * @param {string} name
 * @param {number} seed
 */
function seedOf(name, seed) {
  let hash = 0x811c9dc5 ^ seed
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/**
 * The bytes of a tensor, chunk after chunk.
 * @param {TensorInfo} info
 * @param {Uint16Array} table
 * @param {number} seed
 * @returns {Generator<Uint8Array>}
 */
function* chunksOf(info, table, seed) {
  const next = seededUint32(seedOf(info.name, seed))
  const bytes = tensorBytes(info)
  for (let at = 0; at < bytes; at += CHUNK) {
    const values = new Uint16Array(Math.min(CHUNK, bytes - at) / 2)
    // 0x3f80 is 1.
    if (info.shape.length === 1) values.fill(0x3f80)
    else {
      for (let i = 0; i < values.length; i += 2) {
        const draw = next()
        values[i] = table[draw & 0xffff]
        values[i + 1] = table[draw >>> 16]
      }
    }
    yield new Uint8Array(values.buffer)
  }
}

/**
 * @param {string | undefined} text
 * @param {number} least
 * @param {number} otherwise
 */
function wholeNumber(text, least, otherwise) {
  if (text === undefined) return otherwise
  if (/^\d+$/.test(text) && Number(text) >= least) return Number(text)
  throw new UserError(`Cannot use ${JSON.stringify(text)}: expected a whole number of at least ${least}.`)
}

async function main() {
  const { values: flags } = parseArgs({
    options: { shape: { type: 'string' }, layers: { type: 'string' }, out: { type: 'string' }, seed: { type: 'string' } },
  })
  const shape = SHAPES[flags.shape ?? '']
  if (!shape) throw new UserError(`Cannot make the shape ${flags.shape ?? '(none)'}: expected --shape ${Object.keys(SHAPES).join(', ')}.`)
  const layers = wholeNumber(flags.layers, 1, shape.layers)
  const seed = wholeNumber(flags.seed, 0, 0)
  const out = resolve(flags.out ?? `random-${flags.shape}-${layers}`)
  const tensors = tensorsOf(shape, layers)
  const writer = await CheckpointWriter.open(out, planShards(tensors))
  try {
    const table = normalTable()
    for (const info of tensors) await writer.writeChunks(info, chunksOf(info, table, seed))
    for (const name of TOKENIZER) {
      const path = fileURLToPath(new URL(`../examples/models/docs-llama-4m/${name}`, import.meta.url))
      await writer.writeFile(name, await readFile(path))
    }
    await writer.writeFile('config.json', `${JSON.stringify(configOf(shape, layers), null, 2)}\n`)
    await writer.finish()
  } catch (error) {
    await writer.abort()
    throw error
  }
  console.log(out)
}

try {
  await main()
} catch (error) {
  const isMistake = error instanceof Error && error instanceof UserError
  console.error(isMistake ? error.message : error)
  process.exitCode = isMistake ? 2 : 1
}

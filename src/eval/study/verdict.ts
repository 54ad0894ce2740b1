import type { StudiedModel, StudiedName, StudiedSize } from '../../report/study.ts'
import { formatBytes, formatPercent } from '../../util/format.js'

/** KL divergences that are apart by less than this share are called alike. */
const ALIKE = 0.02

/** What a study says: which of the two quantizers lost less and by how much, and what LLM.int8() would save. */
export function studyVerdict(models: readonly StudiedModel[], sizes: readonly StudiedSize[]): string {
  const [original, ...quantized] = models
  const [better, worse] = [...quantized].sort((a, b) => a.klDivergence - b.klDivergence)
  return `${lossSentence(original, better, worse)} ${sizeSentence(sizes)}`
}

function lossSentence(original: StudiedModel, better: StudiedModel, worse: StudiedModel): string {
  const figures = `perplexity ${two(better)} against ${two(worse)}, where the original has ${two(original)}`
  if (worse.klDivergence - better.klDivergence <= ALIKE * worse.klDivergence)
    return `Absmax and zero-point lost alike with eight bits for every whole tensor: ${capital(better.name).toLowerCase()} has ${figures}.`
  const kl = [better, worse].map(({ klDivergence }) => Number(klDivergence.toPrecision(3)))
  const times = better.klDivergence > 0 ? `, ${(worse.klDivergence / better.klDivergence).toFixed(1)} times less` : ''
  // KL divergence looks at all probabilities of a token, perplexity at one; its errors partly cancel.
  const doubt = better.perplexityDifference > worse.perplexityDifference ? ', which alone would say otherwise' : ''
  return `${capital(better.name)} lost less than ${worse.name} with eight bits for every whole tensor: KL divergence ${kl[0]} against ${kl[1]} nats${times}; ${figures}${doubt}.`
}

function sizeSentence(sizes: readonly StudiedSize[]): string {
  const [original] = sizes
  const last = sizes[sizes.length - 1]
  const change =
    last.bytes < original.bytes
      ? `saves ${formatPercent(last.reduction)}: ${formatBytes(last.bytes)} in place of ${formatBytes(original.bytes)}, ${last.ratio.toFixed(2)} times smaller`
      : `saves nothing: ${formatBytes(last.bytes)} in place of ${formatBytes(original.bytes)}`
  return `LLM.int8() ${change}, since it keeps embeddings, norms, biases and the head in 16 bits.`
}

function two({ perplexity }: StudiedModel): string {
  return perplexity.toFixed(2)
}

function capital(name: StudiedName): string {
  return name[0].toUpperCase() + name.slice(1)
}

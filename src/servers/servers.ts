import { capabilities, findingsOf, foldSame } from './findings.ts'
import { sameScheme } from './scheme-kinds.ts'
import type { Ruling, ServedLayer, ServedModel, Server, ServerFinding, Verdict } from './server.ts'
import { sglang } from './sglang.ts'
import { TARGETS, type Target } from './targets.ts'
import { transformers } from './transformers.ts'
import { vllm } from './vllm.ts'

const SERVERS: Readonly<Record<Target, Server>> = { vllm, transformers, sglang }
const SEVERITIES: readonly ServerFinding['severity'][] = ['error', 'warning', 'info']

/** The version whose rules a target stands for: `vLLM 0.32.0`. */
export function targetVersion(target: Target): string {
  return SERVERS[target].version
}

/** Linears of experts are computed by kernels of their own, whose rules are not among these. */
function isExpert({ name }: ServedLayer): boolean {
  return /\.experts\./.test(name)
}

/** Every compressed layer whose linears agree, with what is made of it. */
function rulings({ ruling }: Server, { layers, dtype }: ServedModel): (readonly [ServedLayer, Ruling])[] {
  return layers.flatMap((layer) => {
    const { linears, isHead } = layer
    const [{ scheme, columns }] = linears
    if (!scheme?.weights || linears.some((linear) => !sameScheme(linear.scheme, scheme))) return []
    const { weights, input_activations: inputs, output_activations: outputs, format } = scheme
    const rows = linears.map((linear) => linear.rows)
    return [[layer, ruling({ weights, inputs, outputs, format, rows, columns, isHead, dtype })] as const]
  })
}

/**
 * What a server makes of a checkpoint, errors first. An error: it is not loaded, on any device. An info: what runs it, and what does not.
 * Rules are those of one version, for NVIDIA GPUs and CPUs, one device without tensor parallelism; each finding has its source.
 */
export function serverProblems(target: Target, model: ServedModel): ServerFinding[] {
  const server = SERVERS[target]
  const [experts, layers] = [model.layers.filter(isExpert), model.layers.filter((layer) => !isExpert(layer))]
  const covered = target === 'transformers' ? model : { ...model, layers }
  const findings = [...server.problems(covered), ...rulings(server, covered).flatMap(([layer, ruling]) => findingsOf(layer, ruling))]
  if (covered !== model && experts.length > 0) findings.push(uncheckedExperts(server, experts))
  return foldSame(findings).sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity))
}

function uncheckedExperts({ version }: Server, experts: readonly ServedLayer[]): ServerFinding {
  return {
    severity: 'warning',
    modules: experts.flatMap(({ linears }) => linears.map(({ name }) => name)),
    message: 'experts were not checked: their kernels have rules of their own',
    source: { version, where: 'fused mixture-of-experts layers', evidence: 'read' },
  }
}

/** The devices that run all layers of a checkpoint on a server: `GPU sm75+`, `CPU`; empty where none does. */
export function hardware(target: Target, model: ServedModel): string[] {
  const all = rulings(SERVERS[target], model).map(([, ruling]) => ruling)
  const nvidia = all.map((ruling) => ruling.nvidia)
  const cpu = all.map((ruling) => ruling.cpu)
  return [...devicesOf('GPU', nvidia), ...devicesOf('CPU', cpu)]
}

function devicesOf(device: string, verdicts: readonly Verdict[]): string[] {
  let from: number | null = null
  let below: number | null = null
  for (const verdict of verdicts) {
    if (!verdict.runs) return []
    if (verdict.from !== null) from = Math.max(from ?? 0, verdict.from)
    if (verdict.below !== null) below = Math.min(below ?? verdict.below, verdict.below)
  }
  return from !== null && below !== null && below <= from ? [] : [`${device}${capabilities(from, below)}`]
}

/**
 * Why a server does not run a checkpoint on a device, given as a GPU's compute capability (89) or `cpu`: the first reason; null where it
 * does.
 */
export function refusalOn(target: Target, model: ServedModel, device: number | 'cpu'): string | null {
  for (const [, { nvidia, cpu }] of rulings(SERVERS[target], model)) {
    const verdict = device === 'cpu' ? cpu : nvidia
    if (!verdict.runs) return verdict.reason
    const isWithin = device === 'cpu' || (device >= (verdict.from ?? 0) && device < (verdict.below ?? Infinity))
    if (!isWithin) return `${verdict.kernel} runs on GPU${capabilities(verdict.from, verdict.below)}, and this is sm${device}`
  }
  return null
}

/** Why a server runs a checkpoint on no device at all: the first reason; null where some device does. */
export function refusalAnywhere(target: Target, model: ServedModel): string | null {
  if (hardware(target, model).length > 0) return null
  const refused = rulings(SERVERS[target], model).flatMap(([, { nvidia }]) => (nvidia.runs ? [] : [nvidia.reason]))
  return refused[0] ?? null
}

/** Who serves a checkpoint, in one line: `vLLM (GPU sm75+, CPU), transformers (GPU, CPU)`. */
export function servedBy(model: ServedModel): string {
  const able = TARGETS.flatMap((target) => {
    const devices = hardware(target, model)
    const refused = devices.length === 0 || serverProblems(target, model).some(({ severity }) => severity === 'error')
    return refused ? [] : [`${targetVersion(target).replace(/ .*/, '')} (${devices.join(', ')})`]
  })
  return able.length > 0 ? able.join(', ') : 'no server that is known here'
}

import { schemeLabel } from '../schemes/scheme.ts'
import type { Ruling, ServedLayer, ServerFinding, Verdict } from './server.ts'

/** Compute capabilities from one to below another: ` sm75+`, ` sm90 alone`, nothing where there is no limit. */
export function capabilities(from: number | null, below: number | null): string {
  if (from === null) return ''
  if (below === from + 1) return ` sm${from} alone`
  return ` sm${from}${below === null ? '+' : ` to below sm${below}`}`
}

function refusal(rulings: readonly (readonly [device: string, verdict: Verdict])[]): string {
  const reasons = rulings.flatMap(([device, verdict]) => (verdict.runs ? [] : [[device, verdict.reason] as const]))
  const [first] = reasons
  if (reasons.length === rulings.length && first && reasons.every(([, reason]) => reason === first[1])) return first[1]
  return reasons.map(([device, reason]) => `not on ${device}: ${reason}`).join('; ')
}

/** A ruling in words: an error where no device runs the layer, otherwise what does and what does not, and what is lost. */
export function findingsOf({ linears }: ServedLayer, { nvidia, cpu, notices }: Ruling): ServerFinding[] {
  const [{ scheme }] = linears
  const label = scheme ? schemeLabel(scheme) : 'unquantized'
  const modules = linears.map(({ name }) => name)
  const verdicts = [['GPU', nvidia] as const, ['CPU', cpu] as const]
  const refused = refusal(verdicts)
  const devices = verdicts.flatMap(([device, verdict]) =>
    verdict.runs ? [`${device}${capabilities(verdict.from, verdict.below)} (${verdict.kernel})`] : [],
  )
  if (devices.length === 0) return [{ severity: 'error', modules, message: `${label}: ${refused}`, source: nvidia.source }]
  const message = [`${label}: runs on ${devices.join(', ')}`, refused].filter(Boolean).join('; ')
  // Of two sources, that of the refusal says more.
  const source = nvidia.runs && !cpu.runs ? cpu.source : nvidia.source
  return [
    { severity: 'info', modules, message, source },
    ...notices.map((notice): ServerFinding => ({ ...notice, modules, message: `${label}: ${notice.message}` })),
  ]
}

/** Findings that say the same put together, with the modules of all, in order of first appearance. */
export function foldSame(findings: readonly ServerFinding[]): ServerFinding[] {
  const folded = new Map<string, ServerFinding>()
  for (const finding of findings) {
    const key = `${finding.severity} ${finding.message} ${finding.source.where}`
    const known = folded.get(key)
    folded.set(key, known ? { ...known, modules: [...known.modules, ...finding.modules] } : finding)
  }
  return [...folded.values()]
}

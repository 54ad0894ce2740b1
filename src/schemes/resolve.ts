import type { QuantizationArgs, QuantizationScheme } from '../checkpoint/quantization-config.ts'
import { type PartialArgs, type Role, resolveArgs } from './args.ts'
import { resolveKvCacheScheme } from './kv-cache.ts'
import { pythonRegExp } from './match.ts'
import { checkInputsObserved, type ObserverOptions, type Observers, observersOf, withObserver } from './observer-options.ts'
import { findPreset, PRESETS, type Preset } from './presets.ts'
import { SchemeError, under } from './scheme-error.ts'

type Path = readonly (string | number)[]

/** One entry of `config_groups` as recipes write it: a scheme, or just the targets when its key is a preset's name. */
export type GroupOption =
  | readonly string[]
  | {
      readonly targets?: readonly string[] | string
      readonly weights?: PartialArgs | null
      readonly input_activations?: PartialArgs | null
      readonly output_activations?: PartialArgs | null
      readonly format?: string | null
    }

/** The options of a quantizing modifier that decide schemes. */
export interface SchemeOptions extends ObserverOptions {
  readonly targets?: readonly string[] | string
  readonly ignore?: readonly string[] | string
  readonly scheme?: string | Readonly<Record<string, readonly string[] | string>> | null
  readonly config_groups?: Readonly<Record<string, GroupOption>> | null
  readonly group_size?: number | 'auto' | null
  readonly kv_cache_scheme?: PartialArgs | null
}

/** A scheme with its name in `config_groups` and where in the options its targets stand (`['scheme', 'W4A16']`, `['targets']`). */
export interface NamedScheme {
  readonly name: string
  readonly scheme: QuantizationScheme
  /** Path of the list of targets, for errors about one of them. */
  readonly path: Path
}

/** A pattern or a list of patterns, as a list. */
export function patterns(value: readonly string[] | string | undefined | null): string[] {
  if (value === undefined || value === null) return []
  return typeof value === 'string' ? [value] : [...value]
}

function optionalArgs(partial: PartialArgs | null | undefined, role: Role): QuantizationArgs | null {
  return partial ? under([role], () => resolveArgs(partial, role)) : null
}

function presetScheme(preset: Preset, targets: string[], groupSize: number | 'auto' | null, observers: Observers): QuantizationScheme {
  const weights: PartialArgs =
    groupSize !== null && isResizable(preset)
      ? { ...preset.weights, group_size: groupSize, strategy: groupSize === -1 ? 'channel' : 'group' }
      : preset.weights
  return {
    targets,
    weights: resolveArgs(withObserver(weights, observers.weights)),
    input_activations: optionalArgs(withObserver(preset.input_activations, observers.input), 'input_activations'),
    output_activations: null,
    format: preset.format,
  }
}

/** Groups of ints come in any size; formats of small floats fix theirs. */
function isResizable({ weights }: Preset): boolean {
  return weights.strategy === 'group' && weights.type !== 'float'
}

function isPatternList(group: GroupOption): group is readonly string[] {
  return Array.isArray(group)
}

function groupScheme(name: string, group: GroupOption, observers: Observers): QuantizationScheme {
  if (isPatternList(group)) return presetScheme(findPreset(name), patterns(group), null, observers)
  if (group.targets === undefined)
    throw new SchemeError(`Cannot use group ${name}: found no targets, expected a mapping with targets and weights`)
  const weights = optionalArgs(withObserver(group.weights, observers.weights), 'weights')
  if (group.output_activations) {
    throw new SchemeError('Cannot use output_activations: not available in this version, expected null', ['output_activations'])
  }
  if (!weights)
    throw new SchemeError(
      `Cannot use group ${name}: found no weights, expected how they are quantized (list modules to leave alone under ignore)`,
    )
  return {
    targets: patterns(group.targets),
    weights,
    input_activations: optionalArgs(withObserver(group.input_activations, observers.input), 'input_activations'),
    output_activations: null,
    format: group.format ?? null,
  }
}

function fromGroups(options: SchemeOptions, groups: Readonly<Record<string, GroupOption>>, observers: Observers): NamedScheme[] {
  if (options.scheme) throw new SchemeError('Cannot use scheme and config_groups together: found both, expected one of them', ['scheme'])
  if (options.group_size) {
    throw new SchemeError('Cannot use group_size with config_groups: found both, expected group_size within the weights of a group', [
      'group_size',
    ])
  }
  // ['Linear'] is the default, which llm-compressor writes out beside config_groups.
  if (options.targets && patterns(options.targets).join() !== 'Linear') {
    throw new SchemeError('Cannot use targets with config_groups: found both, expected the targets within each group', ['targets'])
  }
  return Object.entries(groups).map(([name, group]) => {
    const path = ['config_groups', name]
    return {
      name,
      scheme: under(path, () => groupScheme(name, group, observers)),
      path: isPatternList(group) ? path : [...path, 'targets'],
    }
  })
}

function fromPresets(
  options: SchemeOptions,
  scheme: string | Readonly<Record<string, readonly string[] | string>>,
  observers: Observers,
): NamedScheme[] {
  const size = options.group_size ?? null
  const wanted: [Preset, string[], Path][] =
    typeof scheme === 'string'
      ? [[under(['scheme'], () => findPreset(scheme)), patterns(options.targets ?? 'Linear'), ['targets']]]
      : Object.entries(scheme).map(([name, targets]) => [
          under(['scheme', name], () => findPreset(name)),
          patterns(targets),
          ['scheme', name],
        ])
  if (typeof scheme !== 'string' && options.targets && patterns(options.targets).join() !== 'Linear') {
    throw new SchemeError('Cannot use targets with a mapping of schemes: found both, expected the targets beside each scheme', ['targets'])
  }
  if (size !== null && !wanted.some(([preset]) => isResizable(preset))) {
    throw new SchemeError(`Cannot use group_size ${size}: the scheme has no groups of ints, expected one of those that have (W4A16, ...)`, [
      'group_size',
    ])
  }
  return wanted.map(([preset, targets, path], i) => ({
    name: `group_${i}`,
    scheme: under(['group_size'], () => presetScheme(preset, targets, size, observers)),
    path,
  }))
}

function checkPatterns(list: readonly string[], path: Path): void {
  for (const [i, pattern] of list.entries()) {
    if (pattern.startsWith('re:')) under([...path, i], () => pythonRegExp(pattern.slice(3)))
  }
}

/**
 * What a quantizing modifier's options say, by llm-compressor's rules: one preset for `targets`, presets with targets each, or
 * `config_groups`, never two of them. A group size of `auto` is left null (`resolveGroupSize`). Names follow llm-compressor:
 * `group_0`, ... or the user's. None at all where only the key-value cache is quantized (`resolveKvCacheScheme`). Errors: SchemeError whose
 * path leads from the options to the culprit.
 */
export function resolveSchemes(options: SchemeOptions): NamedScheme[] {
  const { scheme, config_groups: groups, kv_cache_scheme: cache } = options
  if (cache) resolveKvCacheScheme(cache)
  const observers = observersOf(options)
  const schemes = groups ? fromGroups(options, groups, observers) : scheme ? fromPresets(options, scheme, observers) : []
  if (schemes.length === 0 && !cache) {
    throw new SchemeError(
      `Cannot tell how to quantize: found neither scheme nor config_groups, expected a preset (scheme: W4A16) out of ${Object.keys(PRESETS).join(', ')}, or config_groups`,
    )
  }
  checkInputsObserved(
    options,
    schemes.map((named) => named.scheme),
  )
  for (const { name, scheme: resolved, path } of schemes) {
    if (resolved.targets.length === 0)
      throw new SchemeError(`Cannot use ${name}: found no targets, expected module names, patterns or Linear`, path)
    checkPatterns(resolved.targets, path)
  }
  checkPatterns(patterns(options.ignore), ['ignore'])
  return schemes
}

import { type Command, InvalidArgumentError, Option } from 'commander'
import { ENGINES } from '../engine/engine.ts'
import { PRECISIONS } from '../engine/precision.ts'
import { leverOptions } from '../modifiers/gptq/quality.ts'
import { nearest } from '../util/nearest.ts'

/**
 * Flags of programs for the same models, as people type them: on commands that compute, `--device` and `--dtype` are errors that name
 * what is called otherwise here; so are, on commands that take a recipe, `--scheme` and `--quality`, which stand in the recipe.
 */
export function refuseForeignOptions(program: Command): void {
  for (const command of program.commands) {
    refuseForeignOptions(command)
    const flags = new Set(command.options.map(({ long }) => long))
    if (flags.has('--recipe') && !flags.has('--scheme')) {
      command.addOption(refused('--scheme <scheme>', (value) => `Here a scheme is a recipe: --recipe ${value}.`))
      command.addOption(refused('--quality <level>', qualityIn))
    }
    if (!flags.has('--engine')) continue
    if (!flags.has('--device')) command.addOption(refused('--device <name>', (value) => engineFor(value)))
    if (!flags.has('--dtype')) command.addOption(refused('--dtype <type>', () => typeIn(flags.has('--precision'))))
  }
}

function refused(flags: string, instead: (value: string) => string): Option {
  return new Option(flags).hideHelp().argParser((value) => {
    throw new InvalidArgumentError(instead(value))
  })
}

/** What torch's name of a device is as an engine. */
function engineFor(device: string): string {
  const name = device.toLowerCase().replace(/:\d+$/, '')
  if (name === 'auto') return 'Here it is --engine auto, which is the default.'
  if (name === 'cuda' || name === 'gpu') return 'Here it is --engine gpu (NVIDIA) or --engine webgpu (a GPU of any vendor).'
  if (name === 'cpu') return 'Here it is --engine native (TensorFlow) or --engine wasm.'
  if (name === 'mps' || name === 'xpu' || name === 'webgpu') return 'Here it is --engine webgpu.'
  return `Expected no such flag, but --engine with auto, ${ENGINES.join(', ')}.`
}

function qualityIn(level: string): string {
  const levels: readonly string[] = leverOptions.quality.enum
  const meant = levels.includes(level) ? level : (nearest(level, levels) ?? leverOptions.quality.default)
  const recipe = `GPTQModifier: { scheme: W4A16, ignore: [lm_head], quality: ${meant} }`
  return `Here it is an option of GPTQModifier in the recipe, one of ${levels.join(', ')}: put '${recipe}' into a file for --recipe.`
}

function typeIn(hasPrecision: boolean): string {
  const stored = 'The types of weights are those that the checkpoint stores, and no flag changes them'
  return hasPrecision ? `${stored}; large products are taken in --precision ${PRECISIONS.join(' or ')}.` : `${stored}.`
}

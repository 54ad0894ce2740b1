import type { Command } from 'commander'
import type { Diagnosis } from '../engine/doctor.ts'
import { colorsFor } from './colors.ts'
import { print, printJson } from './output.ts'
import { jsonOption } from './shared-options.ts'
import { facts } from './tables.ts'

const EXAMPLES = `
Examples:
  $ llmpress doctor
  $ llmpress doctor --json`

/** `llmpress doctor`: what this machine offers. */
export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('show which engine runs here, and how fast')
    .description(
      'Shows which engine runs here, why not a better one, and how fast it multiplies matrices; whether Node and tfjs are of the versions asked for, and whether an NVIDIA GPU has FP8.',
    )
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runDoctor)
}

async function runDoctor({ json = false }: { json?: boolean }): Promise<void> {
  const { diagnose } = await import('../index.ts')
  const diagnosis = await diagnose()
  if (json) printJson({ ...diagnosis, advice: advice(diagnosis), warnings: warnings(diagnosis) })
  else print(describeDiagnosis(diagnosis))
}

/** What the user could do for more speed. */
export function advice({ engine, node }: Diagnosis): string[] {
  const found: string[] = []
  if (engine === 'wasm') {
    found.push('`llmpress native install` builds a TensorFlow engine, several times as fast (Linux, needs python3 with pip and g++).')
    found.push(
      'With a GPU of any vendor: `llmpress native install --webgpu` (from npm alone). With an NVIDIA GPU also: `llmpress native install --gpu`.',
    )
  }
  if (Number(/^v(\d+)/.exec(node)?.[1]) % 2 === 1) found.push(`Node ${node} is not a long-term release; the tests run on 20, 22 and 24.`)
  return found
}

/** The first compute capability that multiplies FP8 (Ada; NVIDIA's CUDA programming guide). */
const FP8_CAPABILITY = 8.9

/** What will not go as a user may expect. */
export function warnings({ gpus, requirements }: Diagnosis): string[] {
  const unfit = requirements.filter(({ fits }) => !fits)
  const without = [...new Map(gpus.filter(({ capability }) => capability < FP8_CAPABILITY).map((gpu) => [gpu.name, gpu])).values()]
  return [
    ...unfit.map(({ name, version, range }) => `${name} is ${version ?? 'not there'}, expected ${range} (package.json of llmpress).`),
    ...without.map(
      ({ name, capability }) =>
        `${name} has compute capability ${capability.toFixed(1)}, and multiplies FP8 from ${FP8_CAPABILITY} on: to serve there, take INT8 (W8A8) or INT4 (W4A16). ` +
        'llmpress itself emulates FP8 on any machine.',
    ),
  ]
}

/** A diagnosis for people. */
export function describeDiagnosis(diagnosis: Diagnosis): string {
  const { bold } = colorsFor(process.stdout)
  const { engine, detail, rejected, gflops, gpus, requirements, cores, cacheDir } = diagnosis
  const wrong = warnings(diagnosis)
  const todo = advice(diagnosis)
  return [
    facts([
      ['Engine', `${bold(engine)}, ${detail}`],
      ...rejected.map(({ engine: name, why }): [string, string] => [`Not ${name}`, why.replaceAll(/\s*\n\s*/g, ' ')]),
      ['Speed', `${gflops.toFixed(1)} GFLOPS (float32 product of 1024 x 1024 matrices)`],
      ...requirements.map(({ name, version, range }): [string, string] => [name, `${version ?? 'not there'} (${range})`]),
      ...gpus.map(({ name, capability }): [string, string] => ['GPU', `${name}, compute capability ${capability.toFixed(1)}`]),
      ['Cores', String(cores)],
      ['Cache', cacheDir],
    ]),
    ...(wrong.length ? [[bold('Warnings'), ...wrong.map((line) => `  ${line}`)].join('\n')] : []),
    ...(todo.length ? [[bold('For more speed'), ...todo.map((line) => `  ${line}`)].join('\n')] : []),
  ].join('\n\n')
}

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
    .description('Shows which engine runs here, why not a better one, and how fast it multiplies matrices.')
    .addOption(jsonOption())
    .addHelpText('after', EXAMPLES)
    .action(runDoctor)
}

async function runDoctor({ json = false }: { json?: boolean }): Promise<void> {
  const { diagnose } = await import('../index.ts')
  const diagnosis = await diagnose()
  if (json) printJson({ ...diagnosis, advice: advice(diagnosis) })
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

/** A diagnosis for people. */
export function describeDiagnosis(diagnosis: Diagnosis): string {
  const { bold } = colorsFor(process.stdout)
  const { engine, detail, rejected, gflops, node, cores, cacheDir } = diagnosis
  const todo = advice(diagnosis)
  return [
    facts([
      ['Engine', `${bold(engine)}, ${detail}`],
      ...rejected.map(({ engine: name, why }): [string, string] => [`Not ${name}`, why.replaceAll(/\s*\n\s*/g, ' ')]),
      ['Speed', `${gflops.toFixed(1)} GFLOPS (float32 product of 1024 x 1024 matrices)`],
      ['Node', node],
      ['Cores', String(cores)],
      ['Cache', cacheDir],
    ]),
    ...(todo.length ? [[bold('For more speed'), ...todo.map((line) => `  ${line}`)].join('\n')] : []),
  ].join('\n\n')
}

import { Command } from 'commander'
import { packageVersion } from '../util/package-version.ts'
import { colorsFor } from './colors.ts'
import { addDoctor } from './doctor.ts'
import { addEval } from './eval.ts'
import { addInspect } from './inspect.ts'
import { addNative } from './native.ts'
import { addOneshot } from './oneshot.ts'
import { addPlan } from './plan.ts'
import { addVerify } from './verify.ts'

const AFTER_HELP = `
Exit codes: 0 ok, 1 failed, 2 wrong use or input, 130 interrupted. Results go to stdout, all else to stderr.

Examples:
  $ llmpress plan ./model --recipe gptq-w4a16
  $ llmpress oneshot ./model --recipe gptq-w4a16
  $ llmpress verify ./model-gptq-w4a16 --against ./model`

/** The command line with all its commands. Throws CommanderError instead of ending the process. */
export function buildProgram(): Command {
  const { red } = colorsFor(process.stderr)
  const program = new Command('llmpress')
    .description('Compresses language models by recipe, into checkpoints that vLLM and transformers load.')
    .version(packageVersion())
    .option('--debug', 'print the stack of errors')
    .exitOverride()
    .showSuggestionAfterError()
    .showHelpAfterError('Add --help to see how it is used.')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, red('error:'))) })
    .addHelpText('after', AFTER_HELP)
  for (const add of [addOneshot, addPlan, addInspect, addVerify, addEval, addDoctor, addNative]) add(program)
  return program
}

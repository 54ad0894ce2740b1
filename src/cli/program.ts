import { Command } from 'commander'
import { UserError } from '../util/errors.ts'
import { packageVersion } from '../util/package-version.ts'
import { addBench } from './bench.ts'
import { colorsFor } from './colors.ts'
import { addCompare } from './compare.ts'
import { addCompress } from './compress.ts'
import { addConvert } from './convert.ts'
import { addData } from './data.ts'
import { addDoctor } from './doctor.ts'
import { addEstimate } from './estimate.ts'
import { addEval } from './eval.ts'
import { exitCodeOf, messageOf } from './exit.ts'
import { addExplain } from './explain.ts'
import { refuseForeignOptions } from './foreign-options.ts'
import { addGenerate } from './generate.ts'
import { addInspect } from './inspect.ts'
import { addInt8 } from './int8.ts'
import { addNative } from './native.ts'
import { suggestChoices } from './nearest-choices.ts'
import { addOneshot } from './oneshot.ts'
import { addPlan } from './plan.ts'
import { addRecommend } from './recommend.ts'
import { addReport } from './report.ts'
import { requireOptionsLast } from './required-options.ts'
import { addStudy } from './study.ts'
import { addVerify } from './verify.ts'
import { addWeights } from './weights.ts'

const AFTER_HELP = `
Exit codes: 0 ok, 1 failed, 2 wrong use or input, 75 stopped (the same command goes on), 130 interrupted. Results go to stdout, all else to stderr.
On errors the message is on stderr and stdout stays empty, also under --json (verify, and eval or generate of several models,
print what they found, then fail; a run that streams events ends without "done").

Examples:
  $ llmpress plan ./model --recipe gptq-w4a16
  $ llmpress oneshot ./model --recipe gptq-w4a16
  $ llmpress verify ./model-gptq-w4a16 --against ./model`

/** The command line with all its commands. Throws CommanderError instead of ending the process. */
function buildProgram(): Command {
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
    .hook('preAction', (_, command) => refuseEmpty(command))
  for (const add of [
    addOneshot,
    addCompress,
    addInt8,
    addPlan,
    addEstimate,
    addRecommend,
    addExplain,
    addInspect,
    addCompare,
    addVerify,
    addConvert,
    addEval,
    addGenerate,
    addBench,
    addReport,
    addWeights,
    addStudy,
    addData,
    addDoctor,
    addNative,
  ])
    add(program)
  refuseForeignOptions(program)
  requireOptionsLast(program)
  suggestChoices(program)
  return program
}

/**
 * An empty value is a variable that was not set: `--output ""` would be the current folder. Errors: UserError that names the flag or
 * argument.
 */
function refuseEmpty(command: Command): void {
  const flags = command.options.map((option): [string, unknown] => [
    option.long ?? option.flags,
    command.getOptionValue(option.attributeName()),
  ])
  const positions = command.registeredArguments.map((argument, i): [string, unknown] => [`<${argument.name()}>`, command.args[i]])
  for (const [name, value] of [...positions, ...flags]) {
    const empty = [value].flat().some((text) => typeof text === 'string' && text.trim() === '')
    if (empty) throw new UserError(`Cannot use ${name}: found an empty text, expected a value.`)
  }
}

/** Runs the command that the process was started with; errors become a message on stderr and the exit code. */
export async function runProgram(): Promise<void> {
  try {
    await buildProgram().parseAsync()
  } catch (error) {
    const message = messageOf(error, { debug: process.argv.includes('--debug') })
    if (message !== null) process.stderr.write(`${colorsFor(process.stderr).red('error:')} ${message}\n`)
    process.exitCode = exitCodeOf(error)
  }
}

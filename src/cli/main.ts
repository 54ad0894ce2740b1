#!/usr/bin/env node
import { colorsFor } from './colors.ts'
import { exitCodeOf, messageOf } from './exit.ts'
import { tolerateClosedPipes } from './output.ts'
import { buildProgram } from './program.ts'

tolerateClosedPipes()
try {
  await buildProgram().parseAsync()
} catch (error) {
  const message = messageOf(error, { debug: process.argv.includes('--debug') })
  if (message !== null) process.stderr.write(`${colorsFor(process.stderr).red('error:')} ${message}\n`)
  process.exitCode = exitCodeOf(error)
}

#!/usr/bin/env node
import { quitOnSignals } from './interrupt.ts'
import { tolerateClosedStreams } from './output.ts'

quitOnSignals()
tolerateClosedStreams()
// Loaded only now: reading the rest takes long enough for a signal to arrive.
const { runProgram } = await import('./program.ts')
await runProgram()

import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { forward } from '../../src/eval/forward.ts'
import { openModel } from '../../src/models/open-model.ts'
import { readOracle } from '../schemes/oracle.ts'

/** The folder of an oracle as a path: `tiny`, `checkpoints/rtn-w4a16`. */
export function oracleFolder(name: string): string {
  return fileURLToPath(new URL(`../oracles/${name}`, import.meta.url))
}

/** The folders in a folder of oracles. */
export function oracleNames(folder: string): string[] {
  const entries = readdirSync(new URL(`../oracles/${folder}`, import.meta.url), { withFileTypes: true })
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
}

/** A float32 tensor of an oracle's file. */
export function oracleFloats(file: string, name: string): Float32Array {
  return new Float32Array(find(file, name).bytes.buffer)
}

/** An int64 tensor [rows, length] of an oracle's file as token rows. */
export function oracleRows(file: string, name: string): Int32Array[] {
  const { bytes, shape } = find(file, name)
  const ids = Int32Array.from(new BigInt64Array(bytes.buffer), Number)
  const [rows, length] = shape
  return Array.from({ length: rows }, (_, row) => ids.slice(row * length, (row + 1) * length))
}

function find(file: string, name: string) {
  const tensor = readOracle(file).get(name)
  if (!tensor) throw new Error(`${file} has no ${name}`)
  return tensor
}

/** Everything that `forward` shows of a checkpoint on token rows: hidden states that enter each layer and leave the last, logits. */
export async function runForward(folder: string, rows: readonly Int32Array[]): Promise<{ hidden: Float32Array[]; logits: Float32Array }> {
  const source = await openModel(folder)
  try {
    const hidden: Float32Array[] = []
    const logits: Float32Array[] = []
    await forward(source, rows, {
      onHidden: (layer, tensors) => {
        hidden[layer] = concatenate(tensors.map((tensor) => tensor.dataSync() as Float32Array))
      },
      onLogits: (tensor) => {
        logits.push(Float32Array.from(tensor.dataSync()))
      },
    })
    return { hidden, logits: concatenate(logits) }
  } finally {
    await source.close()
  }
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** max |a - b|; infinite where the lengths differ. */
export function largestDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i])), 0)
}

/** The standard deviation of all elements. */
export function spread(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
}

import { RunError } from '../util/errors.ts'
import { checkFactorInput, checkRefineInput, checkRoundGroupsInput, checkRoundInput, checkSearchInput, checkSweepInput } from './check.ts'
import type { Kernels } from './kernels.ts'
import { refine } from './reference-refine.ts'
import { roundWeights } from './reference-round.ts'
import { roundGroups } from './reference-round-groups.ts'
import { searchScales } from './reference-search.ts'
import { sweep } from './reference-sweep.ts'

/**
 * Forward elimination of [H | I] with H = RᵀR, rows and columns reversed: what is left of I is R⁻ᵀ = M, MᵀM = inverse(H).
 * R (above the diagonal) and M (on and below it) share one matrix. Reads the lower triangle of H.
 */
function inverseFactor(h: Float32Array, n: number): Float32Array | null {
  checkFactorInput(h, n)
  const a = new Float64Array(n * n)
  const last = n * n - 1
  for (let i = 0; i < n; i++) {
    const row = a.subarray(i * n, i * n + n)
    for (let j = i; j < n; j++) row[j] = h[last - i * n - j] ?? 0
    for (let k = 0; k < i; k++) {
      const above = a.subarray(k * n, k * n + n)
      const r = above[i] ?? 0
      for (let j = 0; j <= k; j++) row[j] = (row[j] ?? 0) - r * (above[j] ?? 0)
      for (let j = i; j < n; j++) row[j] = (row[j] ?? 0) - r * (above[j] ?? 0)
    }
    const pivot = row[i] ?? 0
    if (!(pivot > 0 && pivot < Infinity)) return null
    const inverse = 1 / Math.sqrt(pivot)
    row[i] = 1
    for (let j = 0; j < n; j++) row[j] = (row[j] ?? 0) * inverse
  }
  const u = new Float32Array(n * n)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) u[last - i * n - j] = a[i * n + j] ?? 0
  }
  return u
}

/**
 * The kernels in plain TypeScript, single-threaded: what the wasm is held to, byte for byte. Every step is one float32 operation but where
 * `Kernels` says float64. Calls after `close` are refused with a RunError.
 */
export function referenceKernels(): Kernels {
  let open = true
  const check = (): void => {
    if (!open) throw new RunError('Cannot run a kernel: the kernels are closed, expected a call before close()')
  }
  return {
    name: 'reference',
    threads: 1,
    async sweep(input) {
      check()
      checkSweepInput(input)
      return sweep(input)
    },
    async inverseFactor(h, n) {
      check()
      return inverseFactor(h, n)
    },
    async searchScales(input) {
      check()
      checkSearchInput(input)
      return searchScales(input)
    },
    async roundWeights(input) {
      check()
      checkRoundInput(input)
      return roundWeights(input)
    },
    async roundGroups(input) {
      check()
      checkRoundGroupsInput(input)
      return roundGroups(input)
    },
    async refine(input) {
      check()
      checkRefineInput(input)
      return refine(input)
    },
    async close() {
      open = false
    },
  }
}

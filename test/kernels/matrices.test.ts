import { referenceMatrices } from '../../src/kernels/reference-matrices.ts'
import { wasmMatrices } from '../../src/kernels/wasm-matrices.ts'
import { matricesContract } from './matrices-contract.ts'

matricesContract('reference', async () => referenceMatrices())
for (const threads of [1, 2, 3]) matricesContract(`wasm, threads ${threads}:`, () => wasmMatrices({ threads }), referenceMatrices())

import { referenceKernels } from '../../src/kernels/reference.ts'
import { kernelContract } from './contract.ts'

kernelContract('reference', async () => referenceKernels())

import { availableParallelism } from 'node:os'
import * as tf from '@tensorflow/tfjs-core'
import { match } from 'ts-pattern'
import { MOST_THREADS } from '../kernels/open.ts'
import type { Rule } from '../util/check-options.ts'
import { RunError, UserError } from '../util/errors.ts'
import { captureConsole } from './capture-console.ts'
import { ENGINES, type EngineName, type OpenedEngine, type RejectedEngine } from './engine.ts'
import { EngineAbsent } from './engine-absent.ts'
import { inverseFactor } from './inverse-factor.ts'
import { keepProcessListeners } from './keep-process-listeners.ts'
import { type Precision, requirePrecision, roundsOutputs } from './precision.ts'
import { sweep } from './sweep.ts'
import { loadTensorflow, type TensorflowSettings } from './tensorflow.ts'
import { openWasmProducts } from './wasm-product.ts'
import { loadWebgpu } from './webgpu.ts'

export interface OpenOptions {
  /** `auto` takes the best that works, in the order of ENGINES. */
  engine: EngineName | 'auto'
  /** CPU threads of TensorFlow, or of the products of the wasm engine; as many as there are cores by default. */
  threads?: number
  /** What the large products are taken in; `bfloat16` on the native engine alone. */
  precision?: Precision
  /** The native engine gives memory back as soon as it can, which takes time: for models with large tensors, and where memory is short. */
  givesBack?: boolean
}

/**
 * Makes an engine the tensor library's backend for this process. Asked for by name it is that one or a UserError that says what is missing;
 * webgpu is then also content with an adapter that computes on the CPU, which is for tests. `auto` always ends with wasm and lists what was passed over in `rejected`. Not to be called while another run computes: `withEngine`.
 */
export async function openEngine(options: OpenOptions): Promise<OpenedEngine> {
  const threads = options.threads ?? availableParallelism()
  if (!Number.isInteger(threads) || threads < 1) throw new UserError(`Cannot use ${threads} threads: expected a whole number of at least 1`)
  const precision = options.precision ?? 'float32'
  // Who asks for lower precision asks for the engine that has it.
  const engine = options.engine === 'auto' && precision === 'bfloat16' ? 'native' : options.engine
  if (engine !== 'auto') requirePrecision(precision, engine)
  const wanted = engine === 'auto' ? ENGINES : [engine]
  const rejected: RejectedEngine[] = []
  for (const name of wanted) {
    try {
      return {
        ...(await open(name, { threads, precision, givesBack: options.givesBack ?? false, software: options.engine === 'webgpu' })),
        rejected,
      }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      rejected.push({ engine: name, why, isPresent: !(error instanceof EngineAbsent) })
    }
  }
  throw cannotOpen(engine, rejected[rejected.length - 1].why)
}

/** What an engine is opened with; `software`: a software adapter will do for WebGPU. */
interface Settings extends TensorflowSettings {
  readonly software: boolean
}

async function open(name: EngineName, { software, ...settings }: Settings): Promise<Omit<OpenedEngine, 'rejected'>> {
  return match(name)
    .with('gpu', () => openGpu(settings))
    .with('webgpu', () => openWebgpu(software))
    .with('native', () => openNative(settings))
    .with('wasm', () => openWasm(settings.threads))
    .exhaustive()
}

async function openGpu(settings: TensorflowSettings): Promise<Omit<OpenedEngine, 'rejected'>> {
  const { version, usesGpu } = await loadTensorflow('@tensorflow/tfjs-node-gpu', settings)
  if (!usesGpu) throw new UserError(`TensorFlow ${version} sees no GPU: check nvidia-smi and CUDA_VISIBLE_DEVICES`)
  return { name: 'gpu', detail: `TensorFlow ${version}, GPU`, inverseFactor, sweep }
}

async function openWebgpu(software: boolean): Promise<Omit<OpenedEngine, 'rejected'>> {
  return { name: 'webgpu', detail: `WebGPU on ${await loadWebgpu(software)}` }
}

async function openNative(settings: TensorflowSettings): Promise<Omit<OpenedEngine, 'rejected'>> {
  const { version } = await loadTensorflow('@tensorflow/tfjs-node', settings)
  // What counts is what TensorFlow was loaded with, which an earlier call in this process may have decided.
  const used = Number(process.env.TF_NUM_INTRAOP_THREADS ?? settings.threads)
  const products = settings.precision === 'bfloat16' ? `, bfloat16 products${roundsOutputs() ? ' and outputs' : ''}` : ''
  return { name: 'native', detail: `TensorFlow ${version}, ${used} ${used === 1 ? 'thread' : 'threads'}${products}`, inverseFactor, sweep }
}

async function openWasm(threads: number): Promise<Omit<OpenedEngine, 'rejected'>> {
  await captureConsole(() => import('@tensorflow/tfjs-backend-wasm'))
  if (!(await keepProcessListeners(() => captureConsole(() => tf.setBackend('wasm')))))
    throw new RunError('WebAssembly could not be started')
  await tf.ready()
  const used = Math.min(threads, MOST_THREADS)
  await openWasmProducts(used)
  return { name: 'wasm', detail: `WebAssembly SIMD, ${used} ${used === 1 ? 'thread' : 'threads'}` }
}

function cannotOpen(engine: EngineName | 'auto', why: string): Error {
  return match(engine)
    .with(
      'gpu',
      () => new UserError(`Cannot use the gpu engine: ${why}. Install it with \`llmpress native install --gpu\`, or use --engine auto`),
    )
    .with('webgpu', () => new UserError(`Cannot use the webgpu engine: ${why}. Use --engine auto for the best that works here`))
    .with(
      'native',
      () => new UserError(`Cannot use the native engine: ${why}. Install it with \`llmpress native install\`, or use --engine wasm`),
    )
    .with('wasm', 'auto', () => new RunError(`Cannot use the wasm engine: ${why}, expected the backend of @tensorflow/tfjs-backend-wasm`))
    .exhaustive()
}

/** What an `engine` option may be. */
export const engineRule: Rule = {
  expected: ['auto', ...ENGINES].map((name) => JSON.stringify(name)).join(', '),
  fits: (value) => typeof value === 'string' && ['auto', ...ENGINES].includes(value),
}

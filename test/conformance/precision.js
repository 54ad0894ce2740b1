// Products in bfloat16 (--precision bfloat16), in a process of its own since TensorFlow is loaded for one precision: what is rounded, what
// is not, and that threads change nothing. Prints JSON: the largest errors, relative to the largest element, a hash of the products, and the
// bytes that each of many products of a linear leaves behind.
//   node test/conformance/precision.js THREADS
import { createHash } from 'node:crypto'
import * as tf from '@tensorflow/tfjs-core'

const dist = new URL('../../dist/', import.meta.url)
const { openEngine } = /** @type {typeof import('../../src/engine/open.ts')} */ (await import(new URL('engine/open.js', dist).href))
const { linearInput, linearMatMul, linearMatrix, linearProduct, matMul, quickMatMul } =
  /** @type {typeof import('../../src/engine/mat-mul.ts')} */ (await import(new URL('engine/mat-mul.js', dist).href))
const { toBfloat16, toFloat32 } = /** @type {typeof import('../../src/engine/bfloat16.ts')} */ (
  await import(new URL('engine/bfloat16.js', dist).href)
)
const { softmax } = /** @type {typeof import('../../src/engine/softmax.ts')} */ (await import(new URL('engine/softmax.js', dist).href))
const { swish } = /** @type {typeof import('../../src/engine/swish.ts')} */ (await import(new URL('engine/swish.js', dist).href))
const { gramBands } = /** @type {typeof import('../../src/engine/gram.ts')} */ (await import(new URL('engine/gram.js', dist).href))

await openEngine({ engine: 'native', threads: Number(process.argv[2]), precision: 'bfloat16' })
/** @type {(shape: [number, number], seed: number) => tf.Tensor2D} */
const random = (shape, seed) => tf.randomUniform(shape, -1, 1, 'float32', seed)
const hash = createHash('sha256')
/** @type {{ exact: number, quick: number, linear: number }} */
const worst = { exact: 0, quick: 0, linear: 0 }
for (const [rows, depth, columns] of [
  [256, 576, 192],
  [512, 1536, 576],
  [64, 100, 36],
]) {
  const [a, b] = [random([rows, depth], 1), random([depth, columns], 2)]
  const [left, right] = [a.dataSync(), b.dataSync()]
  const expected = new Float64Array(rows * columns)
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < depth; k++)
      for (let j = 0; j < columns; j++) expected[i * columns + j] += left[i * depth + k] * right[k * columns + j]
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const turned = tf.transpose(b)
  const weight = /** @type {Float32Array} */ (turned.dataSync())
  const throughLinear = () => linearProduct(linearInput(a), linearMatrix(weight, columns, depth))
  for (const [name, product] of /** @type {const} */ ([
    ['exact', matMul(a, b)],
    ['quick', quickMatMul(a, b)],
    ['linear', linearMatMul(a, b)],
    ['linear', throughLinear()],
  ])) {
    const found = product.dataSync()
    for (let i = 0; i < found.length; i++) worst[name] = Math.max(worst[name], Math.abs(found[i] - expected[i]) / largest)
  }
  const exactBands = gramBands(a)
  for (const [i, band] of gramBands(a, [], true).entries()) {
    const [found, own] = [band.dataSync(), exactBands[i].dataSync()]
    // Elements on the diagonal of sums of `rows` squares are the largest: rows / 3.
    for (let at = 0; at < found.length; at++) worst.linear = Math.max(worst.linear, Math.abs(found[at] - own[at]) / (rows / 3))
  }
  for (const tensor of [
    quickMatMul(a, b),
    linearMatMul(a, b),
    linearMatMul(a, turned, false, true),
    throughLinear(),
    ...gramBands(a),
    ...gramBands(a, [], true),
  ])
    hash.update(new Uint8Array(tensor.dataSync().buffer))
}

// Attention's products, a matrix for each head, and what stands between them.
for (const keys of [128, 384]) {
  const heads = [384, keys, keys].map((rows, i) => toBfloat16(tf.randomUniform([12, rows, 64], -1, 1, 'float32', i + 3)))
  const weights = softmax(quickMatMul(heads[0], heads[1], false, true))
  for (const tensor of [weights, quickMatMul(weights, heads[2]), swish(heads[0])])
    hash.update(new Uint8Array(toFloat32(tensor).dataSync().buffer))
}

// TensorFlow's own tensors of a product, which tfjs does not count: four megabytes if they stayed.
const [x, w] = [random([1024, 512], 1), random([512, 512], 2)]
const products = (/** @type {number} */ count) => {
  for (let i = 0; i < count; i++) tf.dispose([linearMatMul(x, w), ...gramBands(x, [], true)])
  return process.memoryUsage.rss()
}
products(50)
const resident = products(50)
console.log(JSON.stringify({ ...worst, hash: hash.digest('hex'), left: (products(200) - resident) / 200 }))

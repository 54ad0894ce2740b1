// Plain JavaScript, because worker.js imports it: a worker started from the sources has nobody to strip types for it.

/**
 * Calls an export of wasm/kernels.wasm; `lane`, the instance that it runs on, becomes the last argument. TypeError when there is no such
 * export.
 * @param {WebAssembly.Instance} instance
 * @param {string} name
 * @param {readonly number[]} call
 * @param {number} lane
 * @returns {number}
 */
export function callExport(instance, name, call, lane) {
  const kernel = instance.exports[name]
  if (typeof kernel !== 'function') throw new TypeError(`Cannot call the kernel ${name}: wasm/kernels.wasm does not export it`)
  return Number(kernel(...call, lane) ?? 0)
}

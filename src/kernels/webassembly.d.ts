/**
 * The part of the WebAssembly JavaScript API that the kernels use: @types/node 20 leaves it to lib.dom, which this package does without.
 */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array)
  }
  class Memory {
    readonly buffer: SharedArrayBuffer
    constructor(descriptor: { initial: number; maximum: number; shared: true })
    grow(pages: number): number
  }
  class Instance {
    readonly exports: Record<string, unknown>
    constructor(module: Module, imports: { env: { memory: Memory } })
  }
  function compile(bytes: Uint8Array): Promise<Module>
}

import { readFileSync } from 'node:fs'

/** Reads a safetensors file by hand, so that the tests depend on no reader of ours: bytes and shape by tensor name. */
export function readOracle(path: string): Map<string, { bytes: Uint8Array; shape: number[]; dtype: string }> {
  const file = readFileSync(new URL(`../oracles/${path}`, import.meta.url))
  const length = Number(file.readBigUInt64LE(0))
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> = JSON.parse(
    file.toString('utf8', 8, 8 + length),
  )
  const tensors = new Map<string, { bytes: Uint8Array; shape: number[]; dtype: string }>()
  for (const [name, info] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const [begin, end] = info.data_offsets
    tensors.set(name, { bytes: Uint8Array.from(file.subarray(8 + length + begin, 8 + length + end)), shape: info.shape, dtype: info.dtype })
  }
  return tensors
}

/** bf16 bytes to float32. */
export function bf16(bytes: Uint8Array): Float32Array {
  const halves = new Uint16Array(bytes.buffer)
  const words = Uint32Array.from(halves, (half) => half << 16)
  return new Float32Array(words.buffer)
}

/** The nearest bf16 of one number, ties to even. */
export function toBf16(x: number): number {
  const view = new DataView(new ArrayBuffer(4))
  view.setFloat32(0, x)
  const bits = view.getUint32(0)
  view.setUint32(0, ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) << 16)
  return view.getFloat32(0)
}

/** Unsigned fields of `bits` bits, least significant first, from a dense stream of 32-bit words; made signed by the middle code. */
export function unpackStream(bytes: Uint8Array, count: number, bits: number): Int8Array {
  const codes = new Int8Array(count)
  for (let i = 0; i < count; i++) {
    let value = 0
    for (let b = 0; b < bits; b++) {
      const bit = i * bits + b
      value |= ((bytes[bit >> 3] >> (bit & 7)) & 1) << b
    }
    codes[i] = value - 2 ** (bits - 1)
  }
  return codes
}

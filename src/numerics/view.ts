interface ElementArray<T> {
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): T
  readonly BYTES_PER_ELEMENT: number
}

/**
 * Stored bytes as an array of `type`, for example `viewAs(Int32Array, bytes)`. Shares memory where the byte offset is a multiple of the
 * element size, else copies: tensors lie at any offset of a file. Stored data is little endian, and so is every host this runs on
 * (`openCheckpoint` refuses others). Errors: RangeError when the length is no multiple of the element size.
 */
export function viewAs<T>(type: ElementArray<T>, bytes: Uint8Array): T {
  const size = type.BYTES_PER_ELEMENT
  if (bytes.byteLength % size !== 0) throw new RangeError(`Cannot view ${bytes.byteLength} bytes as elements of ${size} bytes`)
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice()
  return new type(aligned.buffer, aligned.byteOffset, aligned.byteLength / size)
}

/** The bytes of a typed array, sharing its memory. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
}

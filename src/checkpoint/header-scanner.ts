/** What a safetensors header may not contain; the caller adds the file's name. */
export class HeaderSyntaxError extends Error {
  override name = 'HeaderSyntaxError'
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Reads the few JSON forms of a safetensors header from its bytes, one value at a time: objects, strings, lists of integers. Not
 * JSON.parse, because that drops all but the last of two equal keys and builds whatever the bytes say: 100 MB of `[` become gigabytes.
 * Every method throws HeaderSyntaxError when the bytes hold something else.
 */
export class HeaderScanner {
  readonly #bytes: Uint8Array
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Visits the keys of an object; `visit` must read the value of each. Errors: also a key that occurs twice. */
  object(visit: (key: string) => void): void {
    const seen = new Set<string>()
    this.#list('{', '}', () => {
      const key = this.string()
      if (seen.has(key)) throw new HeaderSyntaxError(`the key ${JSON.stringify(key.slice(0, 200))} occurs twice`)
      seen.add(key)
      this.#expect(':')
      visit(key)
    })
  }

  /** A list of at most `most` non-negative integers that a double holds exactly. */
  integers(most: number): number[] {
    const numbers: number[] = []
    this.#list('[', ']', () => {
      if (numbers.length === most) throw new HeaderSyntaxError(`a list has more than ${most} numbers`)
      numbers.push(this.#integer())
    })
    return numbers
  }

  string(): string {
    this.#expect('"')
    const start = this.#at
    let escaped = false
    while (this.#bytes[this.#at] !== QUOTE) {
      if (this.#at >= this.#bytes.length) throw new HeaderSyntaxError('a string has no end')
      if (this.#bytes[this.#at] < 0x20) throw new HeaderSyntaxError(`a string has the control character ${this.#found()}`)
      if (this.#bytes[this.#at] === BACKSLASH) {
        escaped = true
        this.#at++
      }
      this.#at++
    }
    const raw = this.#bytes.subarray(start, this.#at++)
    try {
      const text = this.#decoder.decode(raw)
      return escaped ? JSON.parse(`"${text}"`) : text
    } catch (cause) {
      throw new HeaderSyntaxError(`the string at byte ${start} is not UTF-8 or has a wrong escape`, { cause })
    }
  }

  /** Only padding may follow. */
  end(): void {
    this.#skipSpace()
    if (this.#at < this.#bytes.length) throw new HeaderSyntaxError(`found ${this.#found()}, expected the end of the header`)
  }

  #list(open: string, close: string, item: () => void): void {
    this.#expect(open)
    if (this.#accept(close)) return
    do item()
    while (this.#accept(','))
    this.#expect(close)
  }

  #integer(): number {
    this.#skipSpace()
    const start = this.#at
    let value = 0
    while (this.#bytes[this.#at] >= 0x30 && this.#bytes[this.#at] <= 0x39) {
      value = value * 10 + this.#bytes[this.#at++] - 0x30
      if (value > Number.MAX_SAFE_INTEGER) throw new HeaderSyntaxError(`the number at byte ${start} is more than 2^53 - 1`)
    }
    if (this.#at === start) throw new HeaderSyntaxError(`found ${this.#found()}, expected a non-negative integer`)
    return value
  }

  #expect(character: string): void {
    if (!this.#accept(character)) throw new HeaderSyntaxError(`found ${this.#found()}, expected ${character}`)
  }

  #accept(character: string): boolean {
    this.#skipSpace()
    if (this.#bytes[this.#at] !== character.charCodeAt(0)) return false
    this.#at++
    return true
  }

  #skipSpace(): void {
    for (;;) {
      const byte = this.#bytes[this.#at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return
      this.#at++
    }
  }

  #found(): string {
    if (this.#at >= this.#bytes.length) return 'the end of the header'
    const byte = this.#bytes[this.#at]
    const shown = byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `byte 0x${byte.toString(16).padStart(2, '0')}`
    return `${shown} at byte ${this.#at}`
  }
}

import { TextDecoder } from 'node:util'
import { DataError } from '../util/errors.ts'
import type { DataFile } from './data-file.ts'
import { fileBytes } from './file-bytes.ts'

/**
 * The text of a file, in pieces as they are asked for. Decodes strictly, for U+FFFD in place of what is no text would be calibrated on like
 * any other character; drops a byte order mark. Errors: DataError for bytes that are no UTF-8, NUL characters, and as `fileBytes`.
 */
export async function* textPieces(file: DataFile): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  for await (const chunk of fileBytes(file)) yield decode(file.path, decoder, chunk)
  yield decode(file.path, decoder)
}

/** The next characters of a file; without `chunk` those that are left. */
function decode(file: string, decoder: TextDecoder, chunk?: Uint8Array): string {
  const expected = 'expected text in UTF-8'
  let text: string
  try {
    text = decoder.decode(chunk, { stream: chunk !== undefined })
  } catch {
    throw new DataError(
      `Cannot read data from ${file}: found bytes that are not UTF-8, ${expected}. Is it a binary file, or in another encoding?`,
    )
  }
  if (text.includes('\0')) throw new DataError(`Cannot read data from ${file}: found a NUL character, ${expected}. Is it a binary file?`)
  return text
}

/** All of a file's text. Errors: as `textPieces`. */
export async function wholeText(file: DataFile): Promise<string> {
  const pieces: string[] = []
  for await (const piece of textPieces(file)) pieces.push(piece)
  return pieces.join('')
}

/** The lines of a file, without `\n`. Errors: as `textPieces`. */
export async function* textLines(file: DataFile): AsyncGenerator<string> {
  // Collected rather than added up: a line may be as long as the file.
  let rest: string[] = []
  for await (const piece of textPieces(file)) {
    const lines = piece.split('\n')
    rest.push(lines[0])
    if (lines.length === 1) continue
    yield rest.join('')
    yield* lines.slice(1, -1)
    rest = [lines[lines.length - 1]]
  }
  yield rest.join('')
}

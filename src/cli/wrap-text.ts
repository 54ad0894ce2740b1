import { stripVTControlCharacters } from 'node:util'

/** A paragraph in lines of at most `width` columns, where no word is longer; `first` stands before the first line, `next` before the others. */
export function wrapText(text: string, width: number, first = '', next = first): string {
  const lines: string[] = []
  let line = first
  let empty = true
  for (const word of text.split(' ')) {
    if (!empty && stripVTControlCharacters(`${line} ${word}`).length > width) {
      lines.push(line)
      line = next
      empty = true
    }
    line += empty ? word : ` ${word}`
    empty = false
  }
  return [...lines, line].join('\n')
}

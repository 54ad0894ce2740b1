import { crc32 } from 'node:zlib'

/** Signature and IHDR, which comes first. */
const PNG_START = 33
const SOFTWARE = Buffer.from('tEXtSoftware\0llmpress', 'latin1')

/** A PNG that says what made it, in the text chunk that there is for it (PNG 1.2, 4.2.3.1). */
export function markedPng(png: Uint8Array): Uint8Array {
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(SOFTWARE.length - 4)
  sum.writeUInt32BE(crc32(SOFTWARE))
  return Buffer.concat([png.subarray(0, PNG_START), length, SOFTWARE, sum, png.subarray(PNG_START)])
}

/** Whether a file holds a figure of the weights that was drawn here, by how it begins; `start` are its first bytes, 2000 or all. */
export function isWeightsFigure(start: Uint8Array): boolean {
  const text = Buffer.from(start).toString('latin1')
  if (text.startsWith('\x89PNG')) return text.slice(PNG_START).startsWith(SOFTWARE.toString('latin1'), 4)
  // ECharts draws, at our width.
  if (text.startsWith('<svg width="960"')) return text.includes('class="zr')
  return (
    text.startsWith('From,To,original,absmax,zero-point') || /^## .*\n\n.*\n\n\| From \| To \| original \| absmax \| zero-point /.test(text)
  )
}

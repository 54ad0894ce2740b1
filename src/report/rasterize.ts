import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { initWasm, Resvg } from '@resvg/resvg-wasm'

/** A drawing as PNG, `scale` pixels to each of its own. Its text is set in Inter, which comes along: a server may have no fonts. */
export async function rasterize(svg: string, scale: number): Promise<Uint8Array> {
  const require = createRequire(import.meta.url)
  const [wasm, font] = await Promise.all([
    readFile(require.resolve('@resvg/resvg-wasm/index_bg.wasm')),
    readFile(require.resolve('@fontsource-variable/inter/files/inter-latin-wght-normal.woff2')),
  ])
  // A process loads it once; a second time is refused, and does not matter.
  await initWasm(wasm).catch((error: unknown) => {
    if (!/already/i.test(String(error))) throw error
  })
  const resvg = new Resvg(svg, {
    fitTo: { mode: 'zoom', value: scale },
    font: { fontBuffers: [font], defaultFontFamily: 'Inter', sansSerifFamily: 'Inter' },
  })
  try {
    const image = resvg.render()
    try {
      return image.asPng()
    } finally {
      image.free()
    }
  } finally {
    resvg.free()
  }
}

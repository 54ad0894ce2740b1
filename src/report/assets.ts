import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'

/** A tenth more bytes than the default for a third of the time. */
const QUICK = 4

/** Our own scripts of a page, each after those that it imports from. */
const SCRIPTS = {
  'page.js': [
    '../util/format.js',
    './page/theme.js',
    './page/chart.js',
    './page/run-figures.js',
    './page/linear-figures.js',
    './page/comparison-figures.js',
    './page/drawing.js',
    './page/page.js',
  ],
  'study-page.js': [
    '../util/format.js',
    './page/theme.js',
    './page/chart.js',
    './page/weights-figure.js',
    './page/study-figures.js',
    './page/drawing.js',
    './page/study-page.js',
  ],
} as const

/** What a page is made of beside its content. */
export interface Assets {
  readonly style: string
  /** One module without imports. */
  readonly script: string
  /** echarts, gzipped, in base64: a third of it. */
  readonly echarts: string
}

/** Reads what goes into a page, from this package and from echarts; `main`: the script that opens it. */
export async function readAssets(main: keyof typeof SCRIPTS): Promise<Assets> {
  const text = (path: string) => readFile(new URL(path, import.meta.url), 'utf8')
  const library = createRequire(import.meta.url).resolve('echarts/dist/echarts.min.js')
  const [style, scripts, echarts] = await Promise.all([
    text('./page/page.css'),
    Promise.all(SCRIPTS[main].map(async (path) => ({ path, source: await text(path) }))),
    readFile(library).then((bytes) => promisify(gzip)(bytes, { level: QUICK })),
  ])
  return { style, script: joined(scripts), echarts: echarts.toString('base64') }
}

/**
 * Modules as one script, each in a function of its own: a page has no files beside it to import from. Their imports and exports are single
 * lines at the left edge.
 */
function joined(modules: readonly { readonly path: string; readonly source: string }[]): string {
  const wrapped = modules.map(({ path, source }) => {
    const names = [...source.matchAll(/^export (?:async )?(?:function|const) (\w+)/gm)].map(([, name]) => name)
    const body = source
      .replace(/^\/\*\* @import .*$/gm, '')
      .replace(
        /^import (\{.*\}) from '(.*)';?$/gm,
        (_, imported: string, from: string) => `const ${imported} = modules['${basename(from)}']`,
      )
      .replace(/^export /gm, '')
    return `modules['${basename(path)}'] = await (async () => {\n${body.trim()}\nreturn { ${names.join(', ')} }\n})()`
  })
  return ['const modules = {}', ...wrapped].join('\n')
}

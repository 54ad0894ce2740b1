import { join, resolve } from 'node:path'
import { replaceDurably } from '../checkpoint/durable.ts'
import { writeError } from '../checkpoint/write-error.ts'
import { makeFolder } from '../util/make-folder.ts'
import { drawSvg } from './draw.ts'
import { studyFigures } from './page/study-figures.js'
import type { Study } from './study.ts'
import { studyPage } from './study-page.ts'

/**
 * Writes study.html, a self-contained page, and study.svg, its two panels of histograms, into a folder, which is made where it is not there; those
 * of an earlier study are replaced. Gives their paths. Errors: UserError or RunError naming the file that cannot be written.
 */
export async function writeStudy(study: Study, folder: string): Promise<string[]> {
  const [weights] = studyFigures(study)
  const files = [
    { name: 'study.html', content: await studyPage(study) },
    { name: 'study.svg', content: await drawSvg(weights, 'light') },
  ]
  const written: string[] = []
  for (const { name, content } of files) {
    const path = join(resolve(folder), name)
    try {
      await makeFolder(folder)
      await replaceDurably(path, content)
    } catch (cause) {
      throw writeError(cause, path)
    }
    written.push(path)
  }
  return written
}

import { draw, find, startPage } from './drawing.js'
import { studyFigures } from './study-figures.js'

/** @import { Study } from '../study.ts' */

/** @type {Study} */
const study = JSON.parse(/** @type {HTMLElement} */ (document.getElementById('llmpress-study')).textContent ?? '{}')

await startPage(() => {
  for (const figure of studyFigures(study)) {
    const place = find(document, `[data-figure="${figure.id}"] .chart`)
    if (place) draw(place, figure)
  }
})

import { formatBytes, formatCount, formatNumber, formatPercent, plural } from '../util/format.js'
import { readAssets } from './assets.ts'
import { type Html, html } from './html.ts'
import { studyFigures } from './page/study-figures.js'
import { figureShell } from './run-sections.ts'
import { shell } from './shell.ts'
import type { StudiedWeight, Study } from './study.ts'

/** One self-contained page about a study. Makes no request when it is opened. */
export async function studyPage(study: Study): Promise<string> {
  const { model, modelType, parameters, tensors, llmpress } = study
  const content = {
    title: model.split(/[/\\]/).filter(Boolean).at(-1) ?? model,
    kicker: 'llmpress study',
    sub: `${model} · ${modelType} · ${formatCount(parameters)} parameters in ${plural(tensors, 'tensor')}`,
    llmpress,
    main: [html`<article>${sections(study)}</article>`],
    data: { id: 'llmpress-study', value: study },
  }
  return shell(content, await readAssets('study-page.js')).markup
}

function sections(study: Study): Html {
  const [weights, sizes] = studyFigures(study).map(figureShell)
  return html`<section aria-label="Verdict">
<div class="card verdict ${gradeOf(study)}"><p>${study.verdict}</p></div>
<ul class="figures" style="--columns:3">${keyFigures(study).map(({ name, value, note }) => html`<li><span class="name">${name}</span><span class="value">${value}</span><span class="sub">${note}</span></li>`)}</ul></section>
<section><h2>How the weights lie</h2>${weights}${oneWeight(study.weight)}</section>
<section><h2>How well they predict</h2>${scores(study)}</section>
<section><h2>What they write</h2>${texts(study)}</section>
<section><h2>What they take</h2>${sizes}<p class="note">${footprint(study)}</p></section>
${provenance(study)}`
}

/** By the better of the two: the bounds of a verdict on a checkpoint, at which it is close to the original or has lost a noticeable part. */
function gradeOf({ models: [, ...quantized] }: Study): 'good' | 'check' | 'poor' {
  const least = Math.min(...quantized.map(({ klDivergence }) => klDivergence))
  return least <= 0.02 ? 'good' : least <= 0.3 ? 'check' : 'poor'
}

function keyFigures({ models, sizes }: Study): { name: string; value: string; note: string }[] {
  const [original] = models
  const int8 = sizes[sizes.length - 1]
  const perplexities = models.map(({ name, perplexity, perplexityDifference }) => ({
    name: `Perplexity, ${name}`,
    value: perplexity.toFixed(2),
    note: name === original.name ? 'lower is better' : `${perplexityDifference.toFixed(2)} apart`,
  }))
  const divergences = models.slice(1).map(({ name, klDivergence, topOneAgreement }) => ({
    name: `KL divergence, ${name}`,
    value: formatNumber(klDivergence),
    note: `nats; ${formatPercent(topOneAgreement)} same first choice`,
  }))
  const size = { name: int8.name, value: formatBytes(int8.bytes), note: `${int8.ratio.toFixed(2)} times smaller` }
  return [...perplexities, ...divergences, size]
}

function table(columns: readonly string[], rows: readonly (readonly (string | Html)[])[]): Html {
  return html`<div class="scroll" tabindex="0"><table>
<thead><tr>${columns.map((column, i) => html`<th scope="col"${i > 0 ? html` class="number"` : null}>${column}</th>`)}</tr></thead>
<tbody>${rows.map(([name, ...cells]) => html`<tr><th scope="row">${name}</th>${cells.map((cell) => html`<td class="number">${cell}</td>`)}</tr>`)}</tbody>
</table></div>`
}

function oneWeight({ name, file, shape, dtype, values, absmax, zeroPoint }: StudiedWeight): Html {
  const rows = [
    ['Value', ...values.map(formatNumber)],
    ['absmax code', ...absmax.codes.map(String)],
    ['zero-point code', ...zeroPoint.codes.map(String)],
  ]
  const grids = `absmax multiplies by ${formatNumber(absmax.multiplier)}; zero-point by ${formatNumber(zeroPoint.multiplier)}, with ${zeroPoint.zeroPoint} for 0`
  return html`<div class="card"><h3>One weight</h3>
<p class="note"><code>${name}</code> of ${file}, [${shape.join(', ')}], ${dtype}: its first ${values.length} values and their int8 codes; ${grids}.</p>
${table(['', ...values.map((_, i) => String(i))], rows)}</div>`
}

function scores({ models, histograms, text }: Study): Html {
  const [original] = models
  const rows = models.map((model, i) => [
    model.name,
    model.perplexity.toFixed(3),
    model === original ? '' : model.perplexityDifference.toFixed(2),
    model === original ? '' : formatNumber(model.klDivergence),
    model === original ? '' : formatPercent(model.topOneAgreement),
    model === original ? '' : formatNumber(histograms[i].meanError),
  ])
  const columns = ['Model', 'Perplexity', 'Difference', 'KL divergence, nats', 'Same first choice', 'Mean error of a weight']
  return html`<div class="card"><p class="note">All on the same text: ${text.name}, ${formatCount(text.tokens)} tokens that are predicted in ${plural(text.windows, 'window')} of ${text.window}. Lower perplexity is better.</p>
${table(columns, rows)}</div>`
}

function texts({ models, prompt, sampling }: Study): Html {
  const { maxLength, topK, temperature, seed } = sampling
  const draws = `${maxLength} tokens in all, drawn of the ${topK === 0 ? '' : `${topK} `}most likely ones at temperature ${temperature}; seed ${seed}, set anew before each`
  return html`<div class="card"><p class="note">Prompt: ${prompt} (${draws}).</p><div class="samples">
${models.map(({ name, text, sameTokens, newTokens }, i) => html`<div><h3>${name}</h3><blockquote>${prompt}${text}</blockquote>${i > 0 ? html`<p class="note">${sameTokens === newTokens ? 'The same tokens as the original.' : `The first ${plural(sameTokens, 'new token')} as the original.`}</p>` : null}</div>`)}
</div></div>`
}

/** What bitsandbytes takes by the reckoning that people know it by. */
function footprint({ sizes }: Study): string {
  const [original] = sizes
  const { bytes, scales } = sizes[sizes.length - 1]
  const without = bytes - scales
  return `The copies were computed with their values in the type of the original, so they took its memory; their sizes are what their codes would take. Without scales, as get_memory_footprint of transformers counts, LLM.int8() has ${formatCount(without)} bytes against ${formatCount(original.bytes)}: ${(original.bytes / Math.max(1, without)).toFixed(2)} times smaller.`
}

function provenance({ files, warnings, seconds, llmpress }: Study): Html {
  const rows = files.map(
    ({ name, bytes, before, after }) =>
      html`<tr><td>${name}</td><td class="number">${formatBytes(bytes)}</td><td class="hash">${before}</td><td>${before === after ? 'the same' : after}</td></tr>`,
  )
  return html`<section><h2>The original, before and after</h2>
<div class="card"><p class="note">The copies are views: nothing was written beside the model. llmpress ${llmpress}, ${seconds.toFixed(1)} s.</p>
${warnings.length > 0 ? html`<ul class="list">${warnings.map((text) => html`<li><strong class="check">Warning:</strong> ${text}</li>`)}</ul>` : null}
<div class="scroll" tabindex="0"><table>
<thead><tr><th scope="col">File</th><th scope="col" class="number">Size</th><th scope="col">SHA-256 before</th><th scope="col">After</th></tr></thead>
<tbody>${rows}</tbody>
</table></div></div></section>`
}

import { RunStopped } from '../util/errors.ts'
import { span } from '../util/span.ts'
import { checkedChunks } from './checked-chunks.ts'
import type { Progress } from './journal.ts'
import type { Run } from './run.ts'
import type { TensorStore } from './tensor-store.ts'
import type { CompressedLayer } from './walk.ts'

/** Writes each layer as it comes, with the tensors that stay as they are, and keeps the journal. `store` has the hidden states. */
export async function writeLayers(
  { plan, writer, journal, resumed, signal, stop, onProgress }: Run,
  layers: AsyncIterable<CompressedLayer>,
  engine: string,
  store: TensorStore,
): Promise<Progress> {
  const { model, reader } = plan.source
  const started = performance.now()
  const first = resumed?.layers ?? 0
  const reports = [...(resumed?.reports ?? [])]
  const statistics = [...(resumed?.statistics ?? [])]
  const rescaled = [...(resumed?.rescaled ?? [])]
  const experts = [...(resumed?.experts ?? [])]
  const written = new Set<string>(resumed?.tensors)
  const progress = (layers: number): Progress => {
    const seconds = (resumed?.seconds ?? 0) + (performance.now() - started) / 1000
    return { layers, tensors: [...written], reports, statistics, rescaled, experts, seconds, engine }
  }
  const copyUntouched = async (layer: number) => {
    for (const { info } of plan.passThrough.filter((tensor) => tensor.layer === layer && !written.has(tensor.info.name))) {
      signal.throwIfAborted()
      await span('io', 'copy', () => writer.writeChunks(info, checkedChunks(reader, info.name)))
      written.add(info.name)
    }
  }
  let index = first
  const startLayer = () => {
    if (index < model.layers) onProgress({ type: 'layer:start', name: model.layerName(index), index, of: model.layers })
  }
  if (stop?.aborted) throw new RunStopped('Stopped before the first layer.')
  startLayer()
  for await (const { name, tensors, saved, hidden, ...added } of layers) {
    for (const tensor of saved) written.add(tensor)
    for (const tensor of tensors) {
      await span('io', 'write', () => writer.write(tensor))
      written.add(tensor.name)
    }
    reports.push(...added.reports)
    statistics.push(...added.statistics)
    rescaled.push(...added.rescaled)
    experts.push(...added.experts)
    if (index < model.layers) {
      await copyUntouched(index)
      const seconds = (performance.now() - started) / 1000
      const etaSeconds = (seconds / (index + 1 - first)) * (model.layers - index - 1)
      onProgress({ type: 'layer:done', name, index, of: model.layers, seconds, etaSeconds })
    }
    // Before the journal vouches for the layer.
    await reader.requireUnchanged()
    await writer.requireHeld()
    index++
    const isStopped = stop?.aborted === true && index < model.layers
    if (isStopped || (index <= model.layers && journal.isDue)) {
      await span('io', 'journal', async () => {
        await writer.sync()
        await journal.write(progress(index), hidden, store)
      })
    }
    if (isStopped) {
      throw new RunStopped(`Stopped after layer ${index} of ${model.layers}: the same command goes on from there.`)
    }
    startLayer()
  }
  await copyUntouched(model.layers)
  await reader.requireUnchanged()
  return progress(model.layers)
}

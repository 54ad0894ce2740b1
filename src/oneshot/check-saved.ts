import { openCheckpoint } from '../checkpoint/reader.ts'
import { readCodes } from '../models/open-model.ts'
import type { LinearReport } from '../modifiers/modifier.ts'
import { codesChecksum } from '../schemes/codes-checksum.ts'
import { RunError } from '../util/errors.ts'
import { SpareMemory } from '../util/spare-memory.ts'
import type { PlannedLinear } from './staged-linear.ts'

/**
 * Reads every compressed linear back from the files in `folder`, one at a time: its codes must be those that the walk measured, so that the
 * errors in the report are those of the files. Errors: RunError naming the linear and its file; the signal's reason.
 */
export async function checkSaved(
  { linears }: { readonly linears: readonly Pick<PlannedLinear, 'spec' | 'scheme' | 'layout'>[] },
  folder: string,
  reports: readonly Pick<LinearReport, 'name' | 'checksum'>[],
  signal: AbortSignal,
): Promise<void> {
  const checksums = new Map(reports.map(({ name, checksum }) => [name, checksum]))
  const reader = await openCheckpoint(folder)
  const memory = new SpareMemory()
  try {
    for (const { spec, scheme, layout } of linears) {
      const made = checksums.get(spec.name)
      if (!scheme?.weights || !layout || made === undefined) continue
      signal.throwIfAborted()
      const codes = await readCodes(reader, { scheme, layout }, scheme.weights, spec, memory)
      const stored = codesChecksum(codes)
      memory.give(codes.codes)
      if (stored === made) continue
      const file = [...reader.tensors.values()].find(({ name }) => name.startsWith(`${spec.name}.`))?.file
      throw new RunError(
        `Cannot vouch for ${spec.name}: its codes in ${file} read back with the checksum ${stored}, expected ${made}, as they were made. ` +
          'Check the disk, and pass --restart to begin again.',
      )
    }
  } finally {
    await reader.close()
  }
}

import { basename, join } from 'node:path'
import { sha256OfFile } from '../checkpoint/file-hash.ts'
import { isJsonObject, readJsonFile } from '../checkpoint/json-file.ts'
import { REPORT_FILE } from '../checkpoint/old-checkpoint.ts'

/** What `verify` takes from the report that a run left beside its checkpoint. The report came with the files: it is checked, not trusted. */
export interface WrittenReport {
  /** Names of tensors that the run rescaled or rotated. */
  readonly rewritten: ReadonlySet<string>
  /** Files and their SHA-256; empty where the report has none. */
  readonly files: readonly { readonly name: string; readonly sha256: string }[]
  /** By linear: what its codes must read back as; see `LinearReport.checksum`. */
  readonly checksums: ReadonlyMap<string, string>
}

/** The report in a folder; one that says nothing where no readable one is there. */
export async function readWrittenReport(folder: string): Promise<WrittenReport> {
  const { rewritten, files, linears } = await readJsonFile(join(folder, REPORT_FILE)).catch(() => ({}) as Record<string, unknown>)
  return {
    rewritten: new Set(list(rewritten).filter((name) => typeof name === 'string')),
    files: list(files).flatMap((file) => {
      if (!isJsonObject(file)) return []
      const { name, sha256 } = file
      const isName = typeof name === 'string' && name === basename(name) && !/^\.{0,2}$|\\/.test(name)
      return isName && typeof sha256 === 'string' ? [{ name, sha256 }] : []
    }),
    checksums: new Map(
      list(linears).flatMap((linear): [string, string][] => {
        const { name, checksum } = isJsonObject(linear) ? linear : {}
        return typeof name === 'string' && typeof checksum === 'string' ? [[name, checksum]] : []
      }),
    ),
  }
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

/** People add to a model card, and no loader reads it. */
const CARD = 'README.md'

/** Hashes the files that a report lists. `same`: how many are as the run wrote them. Memory: a megabyte. Errors: the signal's reason. */
export async function checkFiles(
  folder: string,
  { files }: WrittenReport,
  signal?: AbortSignal,
): Promise<{ same: number; problems: string[]; notes: string[] }> {
  const found = { same: 0, problems: [] as string[], notes: [] as string[] }
  for (const { name, sha256 } of files) {
    signal?.throwIfAborted()
    const now = await sha256OfFile(join(folder, name), signal).catch((error: unknown) => {
      signal?.throwIfAborted()
      return error instanceof Error ? error : new Error(String(error))
    })
    if (now === sha256) found.same++
    else if (name === CARD) found.notes.push(`${name} is not as the run wrote it`)
    else if (now instanceof Error) found.problems.push(`${name}, which ${REPORT_FILE} lists, cannot be read: ${now.message}`)
    else found.problems.push(`${name} is not the file that the run wrote: its SHA-256 is ${now}, expected ${sha256}`)
  }
  return found
}

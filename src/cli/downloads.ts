import type { DownloadProgress, HubOptions } from '../hub/settings.ts'
import { type Display, openDisplay } from './display.ts'
import { formatBytes } from './format.ts'
import { interruptible } from './interrupt.ts'

/** Shows downloads: the bar moves with the bytes; in logs each file is a line. */
export function downloadProgress(display: Display, now: () => number = () => performance.now()): (progress: DownloadProgress) => void {
  let current = ''
  let started = 0
  let first = 0
  return ({ file, received, total }) => {
    if (file !== current) {
      current = file
      started = now()
      first = received
      display.log(`downloading ${file}, ${formatBytes(total)}`)
    }
    const rate = (received - first) / Math.max(1, now() - started)
    const etaSeconds = rate > 0 ? (total - received) / rate / 1000 : null
    display.show({ done: received, total, label: `downloading ${file}`, etaSeconds })
  }
}

/** Runs what may have to download a model first, with progress on stderr, `what` is done as its first line; a signal stops it. */
export async function withDownloads<T>(
  work: (hub: Pick<HubOptions, 'onDownload' | 'signal'>) => Promise<T>,
  what: string | null = null,
): Promise<T> {
  const display = openDisplay({ quiet: false })
  if (what !== null) display.say(what)
  try {
    return await interruptible((signal) => work({ onDownload: downloadProgress(display), signal }))
  } finally {
    display.stop()
  }
}

import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** How far the download of one file has come. */
export interface DownloadProgress {
  /** `org/name: model.safetensors` */
  file: string
  /** Bytes that are there, also from an earlier attempt. */
  received: number
  total: number
}

/** What a caller says about the hub. */
export interface HubOptions {
  /** Takes what is in the cache and asks no server. */
  localFilesOnly?: boolean
  /** Told as bytes arrive. */
  onDownload?(progress: DownloadProgress): void
  signal?: AbortSignal
}

/** Where the hub is, where its cache is, and who asks. */
export interface HubSettings {
  /** Without a slash at the end. */
  readonly endpoint: string
  readonly cacheDir: string
  readonly token: string | null
  readonly localFilesOnly: boolean
  readonly onDownload: (progress: DownloadProgress) => void
  readonly signal: AbortSignal
}

/**
 * Settings as Python's huggingface_hub 1.33 reads them, so that both share one cache: HF_ENDPOINT; HF_HUB_CACHE, else
 * HUGGINGFACE_HUB_CACHE, else hub under HF_HOME, else huggingface/hub under XDG_CACHE_HOME or ~/.cache; HF_TOKEN, else
 * HUGGING_FACE_HUB_TOKEN, else the file that `hf auth login` writes; HF_HUB_OFFLINE.
 */
export function hubSettings(options: HubOptions = {}, env: NodeJS.ProcessEnv = process.env): HubSettings {
  const home = expand(env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface'))
  return {
    endpoint: (env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, ''),
    cacheDir: expand(env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, 'hub')),
    token: (env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN || savedToken(expand(env.HF_TOKEN_PATH || join(home, 'token'))))?.trim() || null,
    localFilesOnly: options.localFilesOnly ?? /^(1|on|yes|true)$/i.test(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE || ''),
    onDownload: options.onDownload ?? (() => {}),
    signal: options.signal ?? new AbortController().signal,
  }
}

function expand(path: string): string {
  return resolve(path.replace(/^~(?=\/|$)/, homedir()))
}

function savedToken(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

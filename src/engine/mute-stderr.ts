import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

/** The addon's file in a folder of `llmpress native install`. */
export const MUTE_ADDON = 'mute-stderr.node'

/**
 * Source of the addon. TensorFlow 2.21 prints that oneDNN is on while its library loads, before it looks at TF_CPP_MIN_LOG_LEVEL;
 * nothing but the file descriptor itself can stop that, and Node cannot redirect one.
 */
export const MUTE_SOURCE = `#include <fcntl.h>
#include <node_api.h>
#include <unistd.h>
static int kept = -1;
static napi_value mute(napi_env env, napi_callback_info info) {
  int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (sink >= 0 && kept < 0 && (kept = fcntl(2, F_DUPFD_CLOEXEC, 3)) >= 0) dup2(sink, 2);
  if (sink >= 0) close(sink);
  return nullptr;
}
static napi_value restore(napi_env env, napi_callback_info info) {
  if (kept >= 0) { dup2(kept, 2); close(kept); }
  kept = -1;
  return nullptr;
}
NAPI_MODULE_INIT() {
  napi_value fn;
  napi_create_function(env, "mute", NAPI_AUTO_LENGTH, mute, nullptr, &fn);
  napi_set_named_property(env, exports, "mute", fn);
  napi_create_function(env, "restore", NAPI_AUTO_LENGTH, restore, nullptr, &fn);
  napi_set_named_property(env, exports, "restore", fn);
  return exports;
}
`

interface MuteAddon {
  mute(): void
  restore(): void
}

/** Whether standard error is closed off: of the process, as the file descriptor is. */
const stderr = { muted: false }

/**
 * Runs `load` with this process's standard error closed off, by the addon in `folder`; with it open where there is none. Calls may be
 * nested: the outermost one gives it back.
 */
export function withoutStderr<T>(folder: string, load: () => T): T {
  const file = join(folder, MUTE_ADDON)
  if (stderr.muted || !existsSync(file)) return load()
  const addon: MuteAddon = createRequire(file)(file)
  addon.mute()
  stderr.muted = true
  try {
    return load()
  } finally {
    stderr.muted = false
    addon.restore()
  }
}

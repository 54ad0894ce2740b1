import { spawnSync } from 'node:child_process'
import { existsSync, fstatSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { MUTE_ADDON, withoutStderr } from '../../src/engine/mute-stderr.ts'
import { nativeFolder } from '../../src/engine/native-folder.ts'

describe('withoutStderr', () => {
  it('just runs where there is no addon', () => {
    expect(withoutStderr(join(tmpdir(), 'no-such-folder'), () => 42)).toBe(42)
  })

  const addon = join(nativeFolder(false), MUTE_ADDON)
  it.runIf(existsSync(addon))('has an addon that silences the file descriptor and gives it back', () => {
    const program = `const a = require(${JSON.stringify(addon)}); const fs = require('fs')
      fs.writeSync(2, 'before '); a.mute(); a.mute(); fs.writeSync(2, 'during '); a.restore(); a.restore(); fs.writeSync(2, 'after')`
    const { stderr, status } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8' })
    expect(status).toBe(0)
    expect(stderr).toBe('before after')
  })

  it.runIf(existsSync(addon))('gives the file descriptor back at the end of the outermost call', () => {
    const isMuted = () => fstatSync(2).rdev === statSync('/dev/null').rdev
    const seen = withoutStderr(nativeFolder(false), () => {
      withoutStderr(nativeFolder(false), () => {})
      return isMuted()
    })
    expect({ during: seen, after: isMuted() }).toEqual({ during: true, after: false })
  })
})

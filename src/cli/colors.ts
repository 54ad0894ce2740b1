import picocolors from 'picocolors'

export type Colors = ReturnType<typeof picocolors.createColors>

/** Colours for one stream, whatever the others are: none into files and pipes (unless FORCE_COLOR), none under NO_COLOR or on dumb terminals. */
export function colorsFor(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Colors {
  const isAble = Boolean(stream.isTTY) && env.TERM !== 'dumb'
  return picocolors.createColors(!env.NO_COLOR && (isAble || Boolean(env.FORCE_COLOR)))
}

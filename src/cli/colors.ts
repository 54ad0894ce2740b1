import picocolors from 'picocolors'

export type Colors = ReturnType<typeof picocolors.createColors>

/** Colours for one stream: none into files and pipes (unless FORCE_COLOR), none under NO_COLOR. */
export function colorsFor(stream: { isTTY?: boolean }): Colors {
  const wanted = Boolean(stream.isTTY) || Boolean(process.env.FORCE_COLOR)
  return picocolors.createColors(wanted && picocolors.isColorSupported)
}

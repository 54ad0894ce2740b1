/** Group sizes of the Marlin kernels; -1 is one scale a row. */
const GROUP_SIZES = [-1, 32, 64, 128]

/** Whether Marlin has code for integer weights: 4 or 8 bits, with zero points 4 only. */
export function marlinTakes(bits: number, symmetric: boolean, groupSize: number): boolean {
  return (bits === 4 || (bits === 8 && symmetric)) && GROUP_SIZES.includes(groupSize)
}

/** Whether sizes fit one of Marlin's two families of thread tiles: 64 rows by 128 columns, or 128 by 64. */
export function fitsMarlinTiles(rows: number, columns: number): boolean {
  return (rows % 64 === 0 && columns % 128 === 0) || (rows % 128 === 0 && columns % 64 === 0)
}

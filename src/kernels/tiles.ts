// Read by tsc and by asc, so that both sides of the wasm boundary agree on the layout of what crosses it.

/** Rows that one sweep task works on together: two register tiles of 8, so each part of U is fetched once for 16 rows. */
export const sweepRows = 16

/** Columns of one register tile of the sweep; U is packed in panels of that many columns. */
export const sweepColumns = 4

/** Side of the square float64 tiles that the factor is computed in: two of them (32 KiB each) stay in a second-level cache. */
export const tileSide = 64

/** Rows of one register tile of a product (assembly/tile.ts): of H c in `refine`, and of plain matrices. Strips of rows are multiples of it. */
export const tileRows = 4

/** Rows in `refine` are padded to a multiple of this many columns. */
export const refineStep = 8

/** Rows and columns of the second factor that such a product copies together into its first-level cache (16 KiB). */
export const panelDepth = 64
export const panelColumns = 64

/** Columns of a block in products with a vector: rows of stored matrices are padded to whole ones. */
export const productColumns = 32

/** Columns of integers that are summed before they become floats: 256 products a sum, of 255 by 32767 at most, are less than 2^31. */
export const productSegment = 1024

/** Columns whose errors `roundGroups` estimates at a time: the squares of so many fractions of 12 bits add up to less than 2^31. */
export const candidateStretch = 1024

/** Most candidates for a scale in `roundGroups`, and bytes of scratch that each lane needs for them. */
export const mostCandidates = 32
export const candidateScratch = 848 + candidateStretch * 6

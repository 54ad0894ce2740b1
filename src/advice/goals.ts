/** What a recommendation is to be best at. */
export const GOALS = ['quality', 'size', 'speed'] as const
export type Goal = (typeof GOALS)[number]

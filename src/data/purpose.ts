/** What a run wants data for: to calibrate with, or to measure on. */
export type Purpose = 'calibration' | 'evaluation'

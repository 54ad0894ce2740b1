// Read by tsc and by asc, like tiles.ts: the series behind |e|^norm, float64 here, rounded to float32 where they are used.

/** log2 m = t (log1 + log3 t² + log5 t⁴ + log7 t⁶), t = (m - 1) / (m + 1): 2 / (k ln 2). |t| < 0.172, so what is left out is below 5e-8. */
export const log1 = 2.8853900817779268
export const log3 = 0.9617966939259756
export const log5 = 0.5770780163555854
export const log7 = 0.4121985831111324

/** 2^f = 1 + exp1 f + ... + exp6 f⁶: (ln 2)^k / k!. |f| <= 1/2, so what is left out is below 2e-7. */
export const exp1 = Math.LN2
export const exp2 = 0.2402265069591007
export const exp3 = 0.05550410866482158
export const exp4 = 0.009618129107628477
export const exp5 = 0.0013333558146428443
export const exp6 = 0.0001540353039338161

import type { DiffLine } from './report-run.ts'

/** The lines of two texts, with what is only in the first (`-`) before what is only in the second (`+`): a longest common subsequence. */
export function diffLines(before: string, after: string): DiffLine[] {
  const [a, b] = [lines(before), lines(after)]
  // common[i][j]: lines that a from i on and b from j on have in common, in order.
  const common = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1))
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i][j] = a[i] === b[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1])
    }
  }
  const diff: DiffLine[] = []
  let [i, j] = [0, 0]
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      diff.push({ sign: ' ', text: a[i] })
      i++
      j++
    } else if (j >= b.length || (i < a.length && common[i + 1][j] >= common[i][j + 1])) diff.push({ sign: '-', text: a[i++] })
    else diff.push({ sign: '+', text: b[j++] })
  }
  return diff
}

function lines(text: string): string[] {
  return text.replace(/\n$/, '').split('\n')
}

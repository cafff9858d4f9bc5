// Counts events over time.

/** The maximum number of moments in any window of this length, in any order. */
export function mostIn(moments: readonly number[], windowMs: number): number {
  const times = [...moments].sort((a, b) => a - b)
  let [most, from] = [0, 0]
  for (const [i, at] of times.entries()) {
    while (at - times[from]! >= windowMs) from++
    most = Math.max(most, i - from + 1)
  }
  return most
}

export const between = (times: readonly number[], from: number, to: number) =>
  times.filter((at) => at >= from && at < to).length

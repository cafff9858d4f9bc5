/** Generates the arrival times of independent calls: a Poisson stream. */

/** The arrival times up to `ms`, at this mean rate per ms. */
export function* poisson(perMs: number, ms: number, random: () => number): Generator<number, void> {
  const gap = () => -Math.log(1 - random()) / perMs
  for (let at = gap(); at < ms; at += gap()) yield at
}

/** Decides when calls come that know nothing of each other: a Poisson stream. */

/** The moments up to `ms` of a stream of so many in a ms on average. */
export function* poisson(perMs: number, ms: number, random: () => number): Generator<number, void> {
  const gap = () => -Math.log(1 - random()) / perMs
  for (let at = gap(); at < ms; at += gap()) yield at
}

/**
 * The smallest value that at least this share of all values does not exceed (nearest rank). `ascending` must be
 * sorted. Undefined if it is empty.
 */
export function percentile(ascending: readonly number[], share: number): number | undefined {
  return ascending[Math.max(0, Math.ceil(share * ascending.length) - 1)]
}

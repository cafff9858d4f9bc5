/** The value that this share of all values does not exceed (nearest rank). `ascending` is sorted; undefined if empty. */
export function percentile(ascending: readonly number[], share: number): number | undefined {
  return ascending[Math.max(0, Math.ceil(share * ascending.length) - 1)]
}

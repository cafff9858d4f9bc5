/** The value that this share of all does not exceed; 0 of none. `ascending` is sorted. */
export function percentile(ascending: readonly number[], share: number): number {
  return ascending[Math.max(0, Math.ceil(share * ascending.length) - 1)] ?? 0
}

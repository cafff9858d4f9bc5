// Units of time, in ms.

export const SECOND = 1000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** `setTimeout` overflows above 2³¹−1 ms (24.8 days) and fires immediately, so longer waits are split. */
export const MAX_TIMER_MS = 2 ** 31 - 1

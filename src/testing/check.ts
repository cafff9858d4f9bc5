/** Decides which options make sense, and how a model names its times. An error quotes the value it got. */

export const MINUTE_MS = 60_000

/** Checks an option that must be above 0, for an error that names it. */
export function positive(value: number, name: string): number {
  if (!(value > 0 && value < Infinity)) throw new TypeError(`${name} must be a number above 0, got ${value}`)
  return value
}

export function finite(value: number, name: string): number {
  if (!Number.isFinite(value)) throw new TypeError(`${name} must be a finite number, got ${value}`)
  return value
}

export function seconds(ms: number): string {
  return `${ms / 1000} s`
}

/** A value as an error quotes it. */
export function text(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value !== 'object' || value === null) return String(value)
  return `an object with ${Object.keys(value).slice(0, 5).join(', ') || 'no fields'}`
}

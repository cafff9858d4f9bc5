// Headers as every reader of an answer sees them, whatever the SDK made of them.

export interface HeaderReader {
  /** The value of a header, in any case. */
  get(name: string): string | undefined
}

// Finds the known name that an unknown name was probably meant to be.

/** Maps our names to other common names: lower case, letters and digits only, separated by spaces. */
export type Synonyms = Readonly<Record<string, string>>

const plain = (name: string): string => name.toLowerCase().replace(/[^a-z\d]/g, '')

/** The number of letters to add, remove, change or swap to turn `a` into `b` (optimal string alignment). */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      row[j] = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(row[j]!, rows[i - 2]![j - 2]! + 1)
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}

/**
 * The distance between two names. A name that begins the other one is close: `tokens` and `tokensPerMinute`,
 * `timeoutSeconds` and `timeoutMs`.
 */
function strangeness(said: string, name: string): number {
  const stem = name.replace(/ms$/, '')
  const begins = Math.min(said.length, stem.length) > 2 && (name.startsWith(said) || said.startsWith(stem))
  return begins ? 1 : distance(said, name)
}

/** The known name that was probably meant. `slips` is how many letters may differ. */
export function meant(
  word: unknown,
  known: readonly string[],
  synonyms: Synonyms = {},
  slips?: number,
): string | undefined {
  const said = typeof word === 'string' ? plain(word.slice(0, 40)) : ''
  if (!said) return undefined
  const same = known.find((name) => plain(name) === said)
  if (same !== undefined) return same
  for (const [name, others] of Object.entries(synonyms))
    if (others.split(' ').includes(said) && known.includes(/^[\w-]*/.exec(name)![0])) return name
  let [nearest, least] = [
    undefined as string | undefined,
    1 + (slips ?? Math.max(1, Math.min(3, Math.round(said.length / 3)))),
  ]
  for (const name of known) {
    const strange = (slips ? distance : strangeness)(said, plain(name))
    if (strange < least) [nearest, least] = [name, strange]
  }
  return nearest
}

/** ` (did you mean 'requestsPerMinute'?)`, or an empty string if no known name is close. */
export function didYouMean(word: unknown, known: readonly string[], synonyms?: Synonyms): string {
  const name = meant(word, known, synonyms)
  return name === undefined ? '' : ` (did you mean ${/^[\w-]+$/.test(name) ? `'${name}'` : name}?)`
}

// What a call takes of its limits, and what became of it.

/** What a call takes of each dimension, by name. Dimensions that are not named take nothing. */
export type Cost = Readonly<Record<string, number>>

/**
 * What became of a reserved cost: what was used, by name, or `undefined` when unknown: then the whole cost counts
 * as used. `'unsent'`: all of it is refunded. `'refused'`: all but the requests is refunded, since many providers
 * count refused requests.
 */
export type Used = Cost | 'unsent' | 'refused' | undefined

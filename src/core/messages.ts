// What is said to an issuer, and what it says.

import type { LimitSetOptions } from './limit/limit-set.ts'
import type { TicketIssuer } from './ticket-issuer.ts'
import type { RampOptions } from './limit/slow-start.ts'
import type { RecoveryOptions } from './gate/gate.ts'
import type { WallTime } from './limit/sliding-window.ts'

export interface IssuerOptions extends LimitSetOptions {
  parent?: TicketIssuer | undefined
  /** Whose issuer it is: the core only hands it on. */
  owner?: unknown
  ramp?: RampOptions | false | undefined
  recovery?: RecoveryOptions | undefined
  /** Numbers in [0, 1), to spread waits. */
  random: () => number
  wall: WallTime
  /** Whether a probe of the user's own is to be asked, instead of sending the oldest call. */
  asks?: (() => boolean) | undefined
  /** Whether refusals teach the rate. Default true. */
  learn?: boolean | undefined
}

/** What the issuer has decided besides the tickets. */
export type Notice =
  | { of: 'gate' | 'probe'; issuer: TicketIssuer }
  | { of: 'learn'; issuer: TicketIssuer; limit: string; perMinute: number }

/** What a refusal says to the issuer. */
export interface RefusalReport {
  kind: 'rate' | 'overload'
  of?: string | undefined
  waitMs?: number | undefined
  /** It is not too much that is sent, but too much more than before. */
  slowDown?: boolean | undefined
}

/** What a header says: of a dimension, the limit and what is left of it. */
export interface LimitReading {
  of: string
  perMs?: number | undefined
  limit?: number | undefined
  remaining?: number | undefined
  resetMs?: number | undefined
}

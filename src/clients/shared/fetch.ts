// A limited `fetch`. Requests that already have a ticket are sent immediately. Others wait here, and the wait
// counts against the timeout of the SDK that uses it.

import { type Fetch, unmark, watch, withSignal } from './attempt.ts'
import type { ClientTicket, Limits } from './limits.ts'
import { type DescribedRequest, describe, isRequest } from './request.ts'

/** Undefined: the request is not a call. */
export type Describe = (
  input: string | URL | Request,
  init: RequestInit | undefined,
) => Promise<DescribedRequest | undefined>

/** The ticket of a call before its SDK retries it. The retry goes to the original place in the queue. */
export interface HeldTicket {
  grant?: ClientTicket
}

export function limitedFetch(
  fetch: Fetch,
  limits: Limits,
  describeCall: Describe = describe,
  place?: HeldTicket,
): Fetch {
  return async (input, marked) => {
    const { attempt, init } = unmark(marked)
    if (attempt) return attempt.send(fetch, input, init)
    const call = await describeCall(input, init)
    if (!call || !limits.covers(call)) return fetch(input, init)
    const before = place?.grant
    const grant = await (before ? again(before) : limits.grant(call))
    if (place) place.grant = grant
    return inLine(fetch, grant, call, input, init)
  }
}

const again = async (grant: ClientTicket): Promise<ClientTicket> => ({
  ...grant,
  ticket: await grant.ticket.again(),
})

async function inLine(
  fetch: Fetch,
  first: ClientTicket,
  call: DescribedRequest,
  input: string | URL | Request,
  init: RequestInit | undefined,
): Promise<Response> {
  let grant = first
  for (;;) {
    const { ticket } = grant
    let response: Response
    try {
      // A Request can be sent only once, so a copy is sent.
      response = await ticket.attempt((signal) =>
        fetch(isRequest(input) ? input.clone() : input, withSignal(init, signal)),
      )
    } catch (error) {
      if (!call.repeatable) {
        ticket.fail(error)
        throw error
      }
      grant = { ...grant, ticket: await ticket.refuse(error) }
      continue
    }
    if (response.status < 400) return watch(response, grant)
    if (!call.repeatable) {
      ticket.fail(response)
      return response
    }
    try {
      grant = { ...grant, ticket: await ticket.refuse(response) }
    } catch (error) {
      if (error === response) return response
      throw error
    }
    // The body is never read. Cancelling it frees the connection.
    response.body?.cancel().catch(() => {})
  }
}

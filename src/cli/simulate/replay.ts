// Replays a recorded run as a workload: the calls requested in each second of a log arrive again, spread over that
// second, each with an equal part of the requested tokens.

import type { LogRecord } from '../../telemetry/log-record.ts'
import { filesFrom, readLogs } from '../logs.ts'
import { UsageError } from '../usage.ts'
import type { JobTokens } from './workloads.ts'
import { count } from './values.ts'

export interface Recorded {
  name: string
  times: number[]
  /** The tokens of each call, if the log contains them. */
  tokens?: readonly JobTokens[]
  /** Whether it reports input and output separately. */
  apart: boolean
}

/** Throws a `UsageError` that says why the log cannot be replayed. */
export async function readRun(file: string, wanted: string | undefined): Promise<Recorded> {
  const asked: LogRecord[] = []
  const onRecord = (record: LogRecord) => {
    if (record.requests > 0) asked.push(record)
  }
  await readLogs(filesFrom(file), { onRecord }).catch((error: Error) => {
    throw new UsageError(`--from: ${error.message}`)
  })
  if (asked.length === 0)
    throw new UsageError(
      `--from: ${file} holds no calls: it must be a log that llmiter wrote, a record a line`,
    )
  const names = [...new Set(asked.map(({ name }) => name))]
  const name = wanted ?? names[0]!
  if (!names.includes(name)) throw new UsageError(`--name must be one of ${names.join(', ')}, got '${name}'`)
  if (wanted === undefined && names.length > 1)
    throw new UsageError(`${file} holds several limiters, and one is replayed: --name ${names.join(' or ')}`)
  return replay(
    name,
    asked.filter((record) => record.name === name),
  )
}

const MOST_CALLS = 1_000_000

function replay(name: string, records: LogRecord[]): Recorded {
  const calls = Math.round(records.reduce((sum, { requests }) => sum + requests, 0))
  if (calls > MOST_CALLS)
    throw new UsageError(
      `--from: these are ${count(calls)} calls; at most ${count(MOST_CALLS)} can be replayed`,
    )
  records.sort((a, b) => a.t - b.t)
  const told = records.every(({ tokens }) => tokens !== undefined)
  const apart = records.some(({ limits }) => limits?.some(({ of }) => DIRECTIONS.includes(of)))
  const perCall = tokensPerCall(records, apart)
  const times: number[] = []
  const asked: JobTokens[] = []
  for (const record of records) {
    const { t, requests } = record
    for (let i = 0; i < requests; i++) {
      times.push(t - records[0]!.t + ((i + 0.5) * 1000) / requests)
      asked.push(perCall(record))
    }
  }
  return { name, times, apart: told && apart, ...(told && { tokens: asked }) }
}

const DIRECTIONS = ['inputTokens', 'outputTokens']

/**
 * The tokens of a call in a second. If input and output are separate, the mean over all calls is used, because
 * tokens are recorded when calls get their tickets, which may be minutes after the request.
 */
function tokensPerCall(records: readonly LogRecord[], apart: boolean): (record: LogRecord) => JobTokens {
  if (!apart) return ({ tokens, requests }) => ({ input: (tokens?.asked ?? 0) / requests, output: 0 })
  const [input, output] = DIRECTIONS.map((name) => {
    let [asked, issued] = [0, 0]
    for (const { limits = [], issued: tickets } of records) {
      issued += tickets
      asked += limits.find(({ of }) => of === name)?.asked ?? 0
    }
    return asked / Math.max(1, issued)
  }) as [number, number]
  return () => ({ input, output })
}

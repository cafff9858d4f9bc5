// The OpenTelemetry instruments. Histograms of durations use the boundaries from the GenAI conventions.

import type { Meter } from '@opentelemetry/api'

const SECONDS = {
  unit: 's',
  advice: {
    explicitBucketBoundaries: [
      0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    ],
  },
}

/** Calls may wait for hours, for a quota or behind fifty thousand other calls. */
const WAITS = {
  unit: 's',
  advice: {
    explicitBucketBoundaries: [
      ...SECONDS.advice.explicitBucketBoundaries,
      ...[163.84, 327.68, 655.36, 1310.72, 2621.44, 5242.88, 10_485.76, 20_971.52, 41_943.04, 83_886.08],
    ],
  },
}

/** Powers of four, as in the GenAI conventions. */
const TOKENS = {
  unit: '{token}',
  advice: { explicitBucketBoundaries: Array.from({ length: 14 }, (_, i) => 4 ** i) },
}

export type Instruments = ReturnType<typeof makeInstruments>

export function makeInstruments(meter: Meter) {
  const counter = (name: string, unit: string, description: string) =>
    meter.createCounter(name, { unit, description })
  const seconds = (name: string, description: string) =>
    meter.createHistogram(name, { ...SECONDS, description })
  const gauge = (name: string, unit: string, description: string) =>
    meter.createObservableGauge(name, { unit, description })
  return {
    requests: counter('llmiter.requests', '{request}', 'Calls that asked for a ticket.'),
    tickets: counter('llmiter.tickets', '{ticket}', 'Tickets issued, including those for retries.'),
    refusals: counter('llmiter.refusals', '{refusal}', 'Refusals by the provider, by kind.'),
    rejections: counter('llmiter.rejections', '{request}', 'Calls that the limiter rejected, by error.'),
    wait: meter.createHistogram('llmiter.wait.duration', {
      ...WAITS,
      description: 'Time in the queue for a ticket.',
    }),
    tokens: meter.createHistogram('gen_ai.client.token.usage', {
      ...TOKENS,
      description: 'Number of input and output tokens used.',
    }),
    duration: seconds('gen_ai.client.operation.duration', 'GenAI operation duration.'),
    firstChunk: seconds(
      'gen_ai.client.operation.time_to_first_chunk',
      'Time from the ticket to the first chunk of a stream.',
    ),
    nextChunk: seconds(
      'gen_ai.client.operation.time_per_output_chunk',
      'Time the reader of a stream waited for each chunk after the first.',
    ),
    waiting: gauge('llmiter.waiting', '{request}', 'Calls in line.'),
    parked: gauge('llmiter.parked', '{request}', 'Waiting calls that have been refused before.'),
    inFlight: gauge('llmiter.in_flight', '{request}', 'Calls in flight.'),
    rate: gauge(
      'llmiter.rate',
      '{request}/min',
      'Learned limit per minute, in requests or the unit of its dimension.',
    ),
    limit: gauge('llmiter.rate.configured', '{request}/min', 'Configured limit per minute.'),
    available: gauge('llmiter.available', '{request}', 'Amount of a limit available now.'),
    bound: gauge(
      'llmiter.bound',
      '1',
      'Share of the last minute in which the first call in the queue waited for this cause.',
    ),
    gate: gauge('llmiter.gate', '1', '1 for the current state of the gate, 0 for the others.'),
    share: gauge(
      'llmiter.health.share',
      '1',
      'Share of the rate, or of the calls, that is let through because of latency.',
    ),
  }
}

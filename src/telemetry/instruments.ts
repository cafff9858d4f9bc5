// What is measured, as OpenTelemetry wants it described. Durations have the boundaries that the GenAI conventions set.

import type { Meter } from '@opentelemetry/api'

const SECONDS = {
  unit: 's',
  advice: {
    explicitBucketBoundaries: [
      0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    ],
  },
}

/** Calls may wait for hours: for a quota, or behind fifty thousand others. */
const WAITS = {
  unit: 's',
  advice: {
    explicitBucketBoundaries: [
      ...SECONDS.advice.explicitBucketBoundaries,
      ...[163.84, 327.68, 655.36, 1310.72, 2621.44, 5242.88, 10_485.76, 20_971.52, 41_943.04, 83_886.08],
    ],
  },
}

/** Powers of four, as the GenAI conventions set them. */
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
    tickets: counter('llmiter.tickets', '{ticket}', 'Tickets issued, those of further tries too.'),
    refusals: counter('llmiter.refusals', '{refusal}', 'Refusals by the provider, by kind.'),
    rejections: counter('llmiter.rejections', '{request}', 'Calls that the limiter turned away, by error.'),
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
      'Time that the reader of a stream waited for a chunk after the first.',
    ),
    waiting: gauge('llmiter.waiting', '{request}', 'Calls in line.'),
    parked: gauge('llmiter.parked', '{request}', 'Calls in line that have been refused before.'),
    inFlight: gauge('llmiter.in_flight', '{request}', 'Calls with a ticket that are not over.'),
    rate: gauge(
      'llmiter.rate',
      '{request}/min',
      'What a limit allows in a minute, as far as it is known now: requests, or what its dimension counts.',
    ),
    limit: gauge(
      'llmiter.rate.configured',
      '{request}/min',
      'What a limit allows in a minute, as configured.',
    ),
    available: gauge('llmiter.available', '{request}', 'What could be taken of a limit at once.'),
    bound: gauge(
      'llmiter.bound',
      '1',
      'The share of the last minute in which the first call in the queue waited for this cause.',
    ),
    gate: gauge('llmiter.gate', '1', '1 for the state that the gate is in, 0 for the others.'),
    share: gauge(
      'llmiter.health.share',
      '1',
      'The share of the rate or of the calls that the latency leaves.',
    ),
  }
}

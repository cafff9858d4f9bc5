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
    wait: seconds('llmiter.wait.duration', 'Time in line for a ticket.'),
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
    rate: gauge('llmiter.rate', '1/min', 'What a limit allows in a minute, as far as it is known now.'),
    gate: gauge('llmiter.gate', '1', '1 for the state that the gate is in, 0 for the others.'),
    share: gauge(
      'llmiter.health.share',
      '1',
      'The share of the rate or of the calls that the latency leaves.',
    ),
  }
}

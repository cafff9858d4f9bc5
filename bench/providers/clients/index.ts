/**
 * The clients by name. Each is loaded on demand, because an alternative must find the faked globals when it is
 * loaded.
 */
import type { ClientName } from '../case.ts'
import type { ClientMaker } from './client.ts'

const load: Record<ClientName, () => Promise<ClientMaker>> = {
  llmiter: async () => (await import('./llmiter.ts')).llmiter,
  'shared-20': async () => (await import('./llmiter.ts')).shared(20),
  'split-20': async () => (await import('./llmiter.ts')).split(20),
  'alone-5': async () => (await import('./llmiter.ts')).alone(5),
  'sdk-2': async () => (await import('./sdk.ts')).sdk(2),
  'sdk-20': async () => (await import('./sdk.ts')).sdk(20),
  'p-queue': async () => (await import('./lines.ts')).pQueue,
  'p-throttle': async () => (await import('./lines.ts')).throttle,
  bottleneck: async () => (await import('./lines.ts')).bottleneck,
  aws: async () => (await import('./aws.ts')).aws,
}

export const clientNames = Object.keys(load) as ClientName[]

export const loadClient = (name: ClientName) => load[name]()

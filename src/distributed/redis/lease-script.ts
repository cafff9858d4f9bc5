// The store's law as Redis runs it: the numbers that both sides use, then the script that uses them.

import { LAW } from '../protocol.ts'
import lease from './lease.lua'

const constants = Object.entries(LAW).map(([name, value]) => `local ${name} = ${value}`)

export const LEASE_SCRIPT = [...constants, lease].join('\n')

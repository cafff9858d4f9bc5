// The store's law as Redis runs it: the version and the numbers that both sides use, then the script that uses them.

// eslint-disable-next-line @typescript-eslint/triple-slash-reference -- a declaration of `*.lua` is no module
/// <reference path="./lua.d.ts" />
import { LAW, VERSION } from '../protocol.ts'
import lease from './lease.lua'

const constants = Object.entries(LAW).map(([name, value]) => `local ${name} = ${value}`)

export const LEASE_SCRIPT = [`local VERSION = ${VERSION}`, ...constants, lease].join('\n')

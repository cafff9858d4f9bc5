// Identifies this process, and finds out which other processes on this machine are alive.
//
// To the store, a dead process and one that is cut off look alike. A peer on the same machine can distinguish
// them: a signal to a process that is gone fails with ESRCH. "The same machine" must be certain, or a process on
// another machine would be taken for dead. It is identified by the kernel's boot id and the pid namespace, which
// differs for each container. Without these (not Linux, not Node), no process is ever reported dead.

interface Files {
  readFileSync(path: string, encoding: 'utf8'): string
  readlinkSync(path: string): string
}

interface Process {
  pid: number
  kill(pid: number, signal: 0): void
  getBuiltinModule?(name: string): unknown
  on(event: 'beforeExit', listener: () => void): unknown
}

const self = () => (globalThis as { process?: Partial<Process> }).process

let machine: string | undefined

function machineOf(): string {
  if (machine !== undefined) return machine
  try {
    const files = self()?.getBuiltinModule?.('node:fs') as Files
    const boot = files.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    machine = `${boot}/${files.readlinkSync('/proc/self/ns/pid')}`.replaceAll(':', '=')
  } catch {
    machine = ''
  }
  return machine
}

/** `machine:pid:random`. */
export function ownId(): string {
  const random = Math.random().toString(36).slice(2, 10)
  return `${machineOf()}:${self()?.pid ?? 0}:${random}`
}

let leaving: Set<() => void> | undefined

/**
 * Calls the function when the process is about to exit because nothing is left to do. Returns a function that
 * cancels it.
 */
export function beforeExit(then: () => void): () => void {
  if (!leaving) {
    const all = (leaving = new Set())
    // One listener for all, because Node warns about many.
    self()?.on?.('beforeExit', () => [...all].forEach((leave) => leave()))
  }
  leaving.add(then)
  return () => leaving?.delete(then)
}

/** Returns which of these processes ran on this machine and are certainly gone. */
export function gone(ids: readonly string[]): string[] {
  return ids.filter((id) => {
    const [of, pid] = id.split(':')
    if (!of || of !== machineOf()) return false
    try {
      self()!.kill!(Number(pid), 0)
      return false
    } catch (error) {
      return (error as { code?: unknown }).code === 'ESRCH'
    }
  })
}

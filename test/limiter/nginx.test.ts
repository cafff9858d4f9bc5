// Tests against the real nginx: `limit_req` without a burst accepts one request per 1/rate, and refuses early
// ones.
//
// Timers of a busy machine are late, so calls may arrive early and be refused. So the bounds are loose: they
// distinguish a limiter that keeps the pace from one that does not, which is refused forty times per call.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BucketRateLimiter } from 'llmiter'

const NGINX = ['nginx', '/usr/sbin/nginx'].find((name) => spawnSync(name, ['-v']).error === undefined)
const PER_SECOND = 20
const CALLS = 30

/** A location for each test, because a zone is full after a test. */
const STRICT = ['right429', 'right503', 'double429', 'double503', 'unknown429']
const zone = (name: string) => `limit_req_zone $binary_remote_addr zone=${name}:1m rate=${PER_SECOND}r/s;`
const strict = (name: string) =>
  `location = /${name} { limit_req zone=${name}; limit_req_status ${name.slice(-3)}; try_files /answer =404; }`

const configuration = (dir: string, port: number) => `
  daemon off; pid ${dir}/pid; error_log ${dir}/errors; worker_processes 1;
  events {}
  http {
    access_log off; client_body_temp_path ${dir}/a; proxy_temp_path ${dir}/b; fastcgi_temp_path ${dir}/c;
    uwsgi_temp_path ${dir}/d; scgi_temp_path ${dir}/e;
    ${[...STRICT, 'burst503'].map(zone).join('\n')}
    server {
      listen 127.0.0.1:${port}; root ${dir};
      ${STRICT.map(strict).join('\n')}
      location = /burst503 { limit_req zone=burst503 burst=20 nodelay; try_files /answer =404; }
    }
  }`

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as AddressInfo
  await new Promise((closed) => server.close(closed))
  return port
}

// `.ci/run` installs nginx. Without it these tests are skipped.
describe.skipIf(NGINX === undefined).concurrent('nginx, which is not installed where this is skipped', () => {
  const dir = mkdtempSync(join(tmpdir(), 'llmiter-nginx-'))
  let server: ChildProcess
  let url = ''

  beforeAll(async () => {
    const port = await freePort()
    url = `http://127.0.0.1:${port}`
    // Its workers run as another user.
    chmodSync(dir, 0o755)
    writeFileSync(join(dir, 'answer'), 'ok')
    writeFileSync(join(dir, 'nginx.conf'), configuration(dir, port))
    server = spawn(NGINX!, ['-p', dir, '-c', join(dir, 'nginx.conf'), '-e', join(dir, 'errors')], {
      stdio: 'inherit',
    })
    for (let up = false; !up;)
      up = await fetch(`${url}/answer`).then(
        (answer) => answer.ok,
        () => false,
      )
  }, 30_000)

  afterAll(async () => {
    const over = new Promise((exit) => server.once('exit', exit))
    server.kill('SIGTERM')
    await over
    rmSync(dir, { recursive: true, force: true })
  })

  /** How many of these calls were refused until all were answered, and how often a rate was learned. */
  async function judged(zone: string, options: { requestsPerSecond: number } | { limits: [] }) {
    const limiter = new BucketRateLimiter({ name: zone, ramp: false, ...options })
    let [refused, learned] = [0, 0]
    limiter.on('refuse', () => refused++)
    limiter.on('learn', () => learned++)
    const call = async () => {
      const answer = await fetch(`${url}/${zone}`)
      await answer.text()
      if (!answer.ok) throw Object.assign(new Error(zone), { status: answer.status })
      return answer.status
    }
    const answers = await Promise.all(Array.from({ length: CALLS }, () => limiter.run(call)))
    expect(answers).toEqual(Array<number>(CALLS).fill(200))
    limiter.stop()
    return { refused, learned }
  }

  test.each(['right429', 'right503'])('%s: told right, all come through, and most at once', async (zone) => {
    const { refused } = await judged(zone, { requestsPerSecond: PER_SECOND })
    expect(refused).toBeLessThan(2 * CALLS)
  })

  test.each(['double429', 'double503'])('%s: told twice the limit, another one is learned', async (zone) => {
    const { refused, learned } = await judged(zone, { requestsPerSecond: 2 * PER_SECOND })
    expect(refused).toBeLessThan(2 * CALLS)
    expect(learned).toBeGreaterThan(0)
  })

  test('burst503: with a burst that is larger than ours hardly any is refused', async () => {
    const { refused } = await judged('burst503', { requestsPerSecond: PER_SECOND })
    expect(refused).toBeLessThan(CALLS / 2)
  })

  test('unknown429: where no limit is known, a pace is found all the same', async () => {
    const { refused } = await judged('unknown429', { limits: [] })
    expect(refused).toBeLessThan(2 * CALLS)
  })
})

// Packs what `npm publish` would, and installs it into an empty folder as a user would.

import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  export interface ProvidedContext {
    /** A folder in which the package is installed, next to the programs of `programs/`. */
    app: string
    /** The package itself, as npm would publish it. */
    tarball: string
  }
}

const ROOT = join(import.meta.dirname, '../..')

export default function pack({ provide }: TestProject): () => void {
  if (!existsSync(join(ROOT, 'dist/index.js')))
    throw new Error('there is no dist/: run `npm run build` first')
  const folder = mkdtempSync(join(tmpdir(), 'llmiter-package-'))
  const app = join(folder, 'app')
  mkdirSync(app)
  const npm = (cwd: string, ...args: string[]) =>
    execFileSync('npm', args, { cwd, encoding: 'utf8', shell: process.platform === 'win32' }).trim()
  const [tarball] = JSON.parse(
    npm(ROOT, 'pack', '--json', '--ignore-scripts', '--pack-destination', folder),
  ) as [{ filename: string }]
  writeFileSync(join(app, 'package.json'), '{ "private": true }')
  npm(
    app,
    'install',
    '--offline',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    join(folder, tarball.filename),
  )
  cpSync(join(import.meta.dirname, 'programs'), app, { recursive: true })
  // The packages that users install with it, in the tested versions.
  const { peerDependencies = {} } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    peerDependencies?: Record<string, string>
  }
  for (const name of Object.keys(peerDependencies)) {
    const link = join(app, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules', name), link, 'junction')
  }
  provide('app', app)
  provide('tarball', join(folder, tarball.filename))
  return () => rmSync(folder, { recursive: true, force: true })
}

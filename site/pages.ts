// The pages of the site, generated from existing texts of the repository: the README, `docs/`, the examples, and the
// public doc comments. A link to a file that is not a page stops the build.

import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { Application, Converter, ReflectionKind } from 'typedoc'
import { entries } from '../tsup.config.ts'

const ROOT = join(import.meta.dirname, '..')
const PAGES = join(import.meta.dirname, 'pages')
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')
const write = (file: string, text: string) => {
  mkdirSync(dirname(join(PAGES, file)), { recursive: true })
  writeFileSync(join(PAGES, file), text)
}
const namesIn = (folder: string, ending: string) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => name.replaceAll('\\', '/'))
    .sort()

/** The files of the repository that become pages, with their paths on the site. */
const pages = new Map([
  ['README.md', 'index.md'],
  ['CHANGELOG.md', 'changelog.md'],
  ['CONTRIBUTING.md', 'contributing.md'],
  ['SECURITY.md', 'security.md'],
  ['src/core/README.md', 'core.md'],
  ['bench/RESULTS.md', 'results.md'],
  ...namesIn('docs', '.md').map((name): [string, string] => [`docs/${name}`, name]),
])

/** What pages show or offer besides their text. */
const FILES = /\.(svg|json)$/

/** Converts a link for the site: from page to page, or to a picture next to it. */
function linkFrom(file: string, link: string): string {
  if (/^(https?:|mailto:|#)/.test(link)) return link
  const [path = '', hash] = link.split('#')
  const target = posix.normalize(posix.join(posix.dirname(file), path))
  const page = FILES.test(target) ? target.replace(/^docs\//, '') : pages.get(target)
  if (page === undefined) throw new Error(`${file} links to ${link}, which is not a page of the site`)
  return `/${page.replace(/(index)?\.md$/, '')}${hash === undefined ? '' : `#${hash}`}`
}

/** Changes everything except code. */
const outsideCode = (text: string, change: (text: string) => string) =>
  text
    .split(/(^```[\s\S]*?^```$|`[^`\n]*`)/m)
    .map((part, at) => (at % 2 === 0 ? change(part) : part))
    .join('')

for (const folder of ['pages', '.vitepress/dist']) {
  rmSync(join(import.meta.dirname, folder), { recursive: true, force: true })
}
for (const [file, page] of pages) {
  const text = outsideCode(read(file), (part) =>
    part
      .replace(/<!--[\s\S]*?-->\n?/g, '')
      .replace(
        /(\]\()([^)\s]+)(\))/g,
        (_, before: string, link: string, after: string) => before + linkFrom(file, link) + after,
      ),
  )
  write(page, text)
}
for (const name of namesIn('docs', '').filter((name) => FILES.test(name)))
  cpSync(join(ROOT, 'docs', name), join(PAGES, 'public', name))

// An example becomes a page with its code, and with its first comment as the text above.
const examples = namesIn('examples', '.ts').filter((name) => !name.includes('/'))
const titles = examples.map((name) => {
  const code = read(`examples/${name}`)
  const comment = /^\/\*\*\n(?: \*.*\n)+/.exec(code)?.[0] ?? ''
  const about = comment.replace(/^(\/\*\*| \*\/| \* ?)/gm, '').trim()
  if (about === '') throw new Error(`examples/${name} has no comment that says what it shows`)
  const title = name.replace(/\.ts$/, '').replaceAll('-', ' ')
  write(
    `examples/${name.replace(/\.ts$/, '.md')}`,
    `# Example: ${title}\n\n${about}\n\n\`\`\`ts\n${code.slice(comment.length).trim()}\n\`\`\`\n`,
  )
  return `- [${title}](/examples/${name.replace(/\.ts$/, '')}): ${about.split('\n\n')[0]!.replaceAll('\n', ' ')}`
})
write(
  'examples/index.md',
  `# Examples\n\nEach runs without a key: \`npm ci && npm run example examples/<name>.ts\`.\n\n${titles.join('\n')}\n`,
)

// The API, from the doc comments: a page for each class, function and type, by the entry that exports it.
const api = await Application.bootstrapWithPlugins({
  plugin: ['typedoc-plugin-markdown', 'typedoc-vitepress-theme'],
  entryPoints: entries.map(({ name }) => join(ROOT, `src/${name}.ts`)),
  tsconfig: join(ROOT, 'tsconfig.json'),
  readme: 'none',
  disableSources: true,
  excludePrivate: true,
  excludeInternal: true,
  treatWarningsAsErrors: true,
  validation: { notExported: false, invalidLink: true, notDocumented: false },
  logLevel: 'Warn',
  ...{
    docsRoot: PAGES,
    out: join(PAGES, 'api'),
    hideBreadcrumbs: true,
    hidePageHeader: true,
    useCodeBlocks: true,
  },
})
const specifiers = new Map(entries.map(({ name, specifier }) => [name.replace(/\/index$/, ''), specifier]))
api.converter.on(Converter.EVENT_CREATE_DECLARATION, (_, declaration) => {
  if (declaration.kindOf(ReflectionKind.Module))
    declaration.name = specifiers.get(declaration.name) ?? declaration.name
})
const project = await api.convert()
if (project === undefined || api.logger.hasErrors() || api.logger.hasWarnings()) process.exit(1)
await api.generateOutputs(project)

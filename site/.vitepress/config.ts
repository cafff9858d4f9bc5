import { existsSync, readFileSync } from 'node:fs'
import { defineConfig } from 'vitepress'

interface Item {
  text: string
  link?: string | undefined
  items?: Item[] | undefined
}

/** For each entry of the package a sidebar of its own: with all names on every page, the site would be six times as big. */
function apiSidebars(): Record<string, Item[]> {
  const file = new URL('../pages/api/typedoc-sidebar.json', import.meta.url)
  if (!existsSync(file)) return {}
  const [main] = JSON.parse(readFileSync(file, 'utf8')) as [Item & { items: Item[] }]
  const isEntry = ({ link }: Item) => link !== undefined
  // Groups that fold would be buttons with links in them, which a screen reader cannot tell apart.
  const unfolded = ({ text, link, items }: Item): Item => ({ text, link, items: items?.map(unfolded) })
  const subentries = main.items.filter(isEntry).map((entry) => ({ ...entry, text: `llmiter/${entry.text}` }))
  const groups = main.items.filter((item) => !isEntry(item))
  const entries = [{ ...main, items: groups }, ...subentries]
  const all = { text: 'Entries', items: entries.map(({ text, link }) => ({ text, link })) }
  return Object.fromEntries([
    ['/api/', [all]],
    ...entries.map((entry) => [entry.link, [{ ...unfolded(entry), link: undefined }, all]]),
  ])
}

const guides = [
  {
    text: 'Start',
    items: [
      { text: 'What it does, first lines', link: '/' },
      { text: 'Which limit do I set?', link: '/limits' },
      { text: 'Limit an SDK client', link: '/clients' },
      { text: 'Recipes', link: '/recipes' },
      { text: 'Examples', link: '/examples/' },
    ],
  },
  {
    text: 'A job',
    items: [
      { text: 'Run 50,000 prompts', link: '/batch' },
      { text: 'My batch is slow', link: '/slow' },
      { text: 'How long will it take?', link: '/planning' },
      { text: 'Log, graph, metrics', link: '/seeing' },
    ],
  },
  {
    text: 'More than one',
    items: [
      { text: 'Many processes', link: '/fleet' },
      { text: 'Several keys and models', link: '/pool' },
      { text: 'Other languages', link: '/gateway' },
      { text: 'Limit your own endpoints', link: '/inbound' },
    ],
  },
  {
    text: 'Quality',
    items: [
      { text: 'Tests', link: '/testing' },
      { text: 'How the algorithm works', link: '/law' },
      { text: 'How it compares', link: '/comparison' },
      { text: 'How it fares, by provider', link: '/results' },
    ],
  },
  {
    text: 'Coming from',
    items: [
      { text: 'Bottleneck', link: '/migrate/bottleneck' },
      { text: 'p-queue, p-throttle', link: '/migrate/p-queue' },
      { text: 'rateLLMiter, LiteLLM, Portkey', link: '/migrate/others' },
    ],
  },
]

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 2h3M5 2h3M0 5h3M5 5h3" stroke="#2b6cb0" stroke-width="2"/></svg>`

export default defineConfig({
  title: 'llmiter',
  description: 'Client-side rate limiting for LLM APIs: calls leave at the pace the provider really accepts.',
  lang: 'en',
  head: [['link', { rel: 'icon', href: `data:image/svg+xml,${encodeURIComponent(ICON)}` }]],
  srcDir: 'pages',
  cleanUrls: true,
  // A host may serve it below a folder.
  base: process.env.SITE_BASE ?? '/',
  markdown: { theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' } },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Guides', link: '/', activeMatch: '^/(?!api|reference|changelog)' },
      { text: 'Options', link: '/reference' },
      { text: 'API', link: '/api/', activeMatch: '^/api/' },
      { text: 'Changes', link: '/changelog' },
    ],
    sidebar: { ...apiSidebars(), '/': guides },
  },
})

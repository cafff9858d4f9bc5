// Writes the reference of the gateway's configuration into gateway.md, from its schema: `npm run docs`.

import { readFileSync, writeFileSync } from 'node:fs'
import { allowed } from '../src/gateway/check-schema.ts'
import { CONFIG_SCHEMA, type Schema } from '../src/gateway/config-schema.ts'

const PAGE = new URL('gateway.md', import.meta.url)
const BETWEEN = /(?<=<!-- config -->\n)[^]*(?=<!-- \/config -->)/

function rowsOf(schema: Schema, path: string): string[] {
  const { properties = {}, items, additionalProperties, description, required } = schema
  const own = path && description ? [`| \`${path}\` | ${description} | ${allowed(schema)} |`] : []
  const within = Object.entries(properties).flatMap(([name, one]) => {
    const rows = rowsOf(one, path ? `${path}.${name}` : name)
    return required?.includes(name) ? [rows[0]!.replace(' | ', ' (required) | '), ...rows.slice(1)] : rows
  })
  const listed = items ? rowsOf(items, `${path}[]`) : []
  const named = additionalProperties ? rowsOf(additionalProperties, `${path}.*`) : []
  return [...own, ...within, ...listed, ...named]
}

/** The table as it should appear in the page. */
export const configTable = (): string =>
  ['| path | what | allowed |', '| --- | --- | --- |', ...rowsOf(CONFIG_SCHEMA, '')].join('\n')

/** The table in the page. */
export const tableInPage = (): string => BETWEEN.exec(readFileSync(PAGE, 'utf8'))![0].trim()

if (import.meta.main)
  writeFileSync(
    PAGE,
    readFileSync(PAGE, 'utf8').replace(BETWEEN, () => `\n${configTable()}\n\n`),
  )

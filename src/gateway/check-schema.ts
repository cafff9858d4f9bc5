// Checks a value against a schema. An error names the path of the first fault, the value, and what is allowed.

import { didYouMean } from '../lib/suggest.ts'
import { text } from '../lib/validate.ts'
import { NAME, type Schema } from './config-schema.ts'

const KINDS: Record<NonNullable<Schema['type']>, (value: unknown) => boolean> = {
  object: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  array: (value) => Array.isArray(value),
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number' && Number.isFinite(value),
  integer: (value) => Number.isInteger(value),
  boolean: (value) => typeof value === 'boolean',
}

/** What a schema allows, in words. */
export function allowed(schema: Schema): string {
  if (schema.enum)
    return schema.enum
      .map(text)
      .join(', ')
      .replace(/, ([^,]*)$/, ' or $1')
  if (schema.anyOf) return schema.anyOf.map(allowed).join(', or ')
  if (schema.pattern?.startsWith('^(env'))
    return "'env:NAME' or 'file:PATH': a key must not stand in the configuration"
  if (schema.pattern?.startsWith('^((env'))
    return "'redis://HOST:PORT', 'env:NAME' or 'file:PATH': a password must not stand in the configuration"
  if (schema.pattern === NAME) return 'a name of ASCII letters, digits and signs'
  if (schema.pattern?.startsWith('^https')) return 'a URL that begins with https:// or http://'
  if (schema.pattern?.includes('(ms|')) return "a time such as '500ms', '30s' or '5m'"
  if (schema.maximum !== undefined) return `a whole number from ${schema.minimum} to ${schema.maximum}`
  if (schema.type === 'integer') return `a whole number of at least ${schema.minimum}`
  if (schema.exclusiveMinimum !== undefined) return `a number above ${schema.exclusiveMinimum}`
  if (schema.minimum !== undefined) return `a number of at least ${schema.minimum}`
  if (schema.minItems !== undefined) return `a list of at least ${schema.minItems}`
  return {
    object: 'an object',
    array: 'a list',
    string: 'a text',
    number: 'a number',
    boolean: 'true or false',
  }[schema.type!]
}

/** The faults of a value itself. */
function fits(
  value: unknown,
  { type, enum: choices, anyOf, pattern, minimum, maximum, exclusiveMinimum, minItems }: Schema,
): boolean {
  const n = value as number
  return (
    (!choices || choices.includes(value)) &&
    (!anyOf || anyOf.some((one) => fits(value, one))) &&
    (!type || KINDS[type](value)) &&
    (!pattern || new RegExp(pattern).test(value as string)) &&
    (minimum === undefined || n >= minimum) &&
    (maximum === undefined || n <= maximum) &&
    (exclusiveMinimum === undefined || n > exclusiveMinimum) &&
    (minItems === undefined || (value as unknown[]).length >= minItems)
  )
}

/** @throws TypeError that names the path of the first fault. */
export function checkBySchema(value: unknown, schema: Schema, path: string): void {
  if (!fits(value, schema)) {
    // A key written in place of its name must not be shown.
    const shown = /^\^\(+env/.test(schema.pattern ?? '') ? '' : `, got ${text(value)}`
    throw new TypeError(`${path || 'the configuration'} must be ${allowed(schema)}${shown}`)
  }
  if (schema.items)
    for (const [i, item] of (value as unknown[]).entries()) checkBySchema(item, schema.items, `${path}[${i}]`)
  if (schema.properties || schema.additionalProperties)
    checkFields(value as Record<string, unknown>, schema, path)
}

function checkFields(value: Record<string, unknown>, schema: Schema, path: string): void {
  const { properties = {}, additionalProperties, required = [] } = schema
  for (const name of required)
    if (value[name] === undefined)
      throw new TypeError(`${at(path, name)} is missing: ${allowed(properties[name]!)}`)
  for (const [name, item] of Object.entries(value)) {
    const own = Object.hasOwn(properties, name) ? properties[name] : additionalProperties
    if (own) checkBySchema(item, own, at(path, name))
    else if (additionalProperties === false) {
      const known = Object.keys(properties)
      throw new TypeError(
        `${at(path, name)} is not known${didYouMean(name, known)}; known: ${known.join(', ')}`,
      )
    }
  }
}

const at = (path: string, name: string) =>
  /^[\w$]+$/.test(name) ? (path ? `${path}.${name}` : name) : `${path}[${JSON.stringify(name)}]`

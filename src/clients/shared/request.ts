// What a request of `fetch` says of itself, as far as its limits go: its model, its body, whether it generates.

import type { LimitedCall } from './limits.ts'

/** Calls that generate nothing, by their paths at the providers that are known. */
const OTHERS =
  /\/(files|uploads|batches|fine_tuning|vector_stores|containers|evals|assistants|threads|messages\/batches|conversations|organization|skills|cachedContents|tunedModels)(\/|$)|[/:](count_?tokens|input_tokens|batchGenerateContent|cancel)$/i

/** Where the path names the model: Gemini, Azure, Bedrock. */
const MODEL = /\/(?:models|deployments|model)\/([^/:]+)/

export interface DescribedRequest extends LimitedCall {
  path: string
  /** Whether its body can be sent a second time. */
  repeatable: boolean
}

/** `generatesAt` says by its path whether a POST generates something. */
export async function describe(
  input: string | URL | Request,
  init: RequestInit | undefined,
  generatesAt = (path: string) => !OTHERS.test(path),
): Promise<DescribedRequest | undefined> {
  const request = isRequest(input) ? input : undefined
  const { protocol, pathname: path } = new URL(request?.url ?? String(input), 'http://localhost')
  // SDKs fetch `data:,` to see what a fetch can do.
  if (!/^https?:$/.test(protocol)) return undefined
  const method = (init?.method ?? request?.method ?? 'GET').toUpperCase()
  const generates = method === 'POST' && generatesAt(path)
  // What is uploaded may be large, and says nothing that counts.
  const body: unknown = init?.body ?? (generates && request?.body ? await bodyOf(request) : undefined)
  const parsed = parse(body)
  return {
    path,
    model: modelOf(parsed) ?? modelIn(path),
    request: parsed,
    generates,
    signal: init?.signal ?? request?.signal,
    repeatable: isRepeatable(init?.body),
  }
}

/** From a copy. A form holds files, whose bytes are no text. */
function bodyOf(request: Request): Promise<unknown> {
  const copy = request.clone()
  return /^multipart\//i.test(copy.headers.get('content-type') ?? '') ? copy.formData() : copy.text()
}

/** For what an SDK fetches past the place where its calls wait: only what generates something is one of them. */
export const describeStray =
  (generates: (path: string) => boolean) =>
  async (
    input: string | URL | Request,
    init: RequestInit | undefined,
  ): Promise<DescribedRequest | undefined> => {
    const call = await describe(input, init, generates)
    return call?.generates ? call : undefined
  }

export function isRequest(input: unknown): input is Request {
  return typeof input === 'object' && input !== null && 'clone' in input
}

/** The model that a body names: an object's field, or a form's. */
export function modelOf(body: unknown): string | undefined {
  const model: unknown = isForm(body) ? body.get('model') : (Object(body) as { model?: unknown }).model
  return typeof model === 'string' ? model : undefined
}

export function modelIn(path: string): string | undefined {
  const [, model] = MODEL.exec(path) ?? []
  return model && decodeURIComponent(model)
}

/** A stream can be sent once: after a refusal nothing is left of it. */
export function isRepeatable(body: unknown): boolean {
  if (typeof body !== 'object' || body === null || isForm(body)) return true
  return !(
    (typeof ReadableStream === 'function' && body instanceof ReadableStream) ||
    Symbol.asyncIterator in body ||
    'next' in body
  )
}

function isForm(body: unknown): body is FormData {
  return typeof FormData === 'function' && body instanceof FormData
}

function parse(body: unknown): unknown {
  if (body instanceof Uint8Array) return parse(new TextDecoder().decode(body))
  if (typeof body !== 'string') return body
  try {
    return JSON.parse(body)
  } catch {
    return body
  }
}

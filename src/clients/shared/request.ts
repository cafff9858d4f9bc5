// Describes a request of `fetch` for its limits: its model, its body, and whether it generates something.

import type { LimitedCall } from './limits.ts'

/** Matches the paths of calls that generate nothing, at the known providers. */
const OTHERS =
  /\/(files|uploads|batches|fine_tuning|vector_stores|containers|evals|assistants|threads|messages\/batches|conversations|organization|skills|cachedContents|tunedModels)(\/|$)|[/:](count_?tokens|input_tokens|batchGenerateContent|cancel)$/i

/** Matches paths that contain the model: Gemini, Azure, Bedrock. */
const MODEL = /\/(?:models|deployments|model)\/([^/:]+)/

export interface DescribedRequest extends LimitedCall {
  path: string
  /** Whether its body can be sent a second time. */
  repeatable: boolean
}

/** `generatesAt` decides by path whether a POST generates something. */
export async function describe(
  input: string | URL | Request,
  init: RequestInit | undefined,
  generatesAt = (path: string) => !OTHERS.test(path),
): Promise<DescribedRequest | undefined> {
  const request = isRequest(input) ? input : undefined
  const { protocol, pathname: path } = new URL(request?.url ?? String(input), 'http://localhost')
  // SDKs fetch `data:,` to test the features of a `fetch`.
  if (!/^https?:$/.test(protocol)) return undefined
  const method = (init?.method ?? request?.method ?? 'GET').toUpperCase()
  const generates = method === 'POST' && generatesAt(path)
  // Uploads may be large, and contain nothing relevant.
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

/** Reads a copy. A form contains files, whose bytes are not text. */
function bodyOf(request: Request): Promise<unknown> {
  const copy = request.clone()
  return /^multipart\//i.test(copy.headers.get('content-type') ?? '') ? copy.formData() : copy.text()
}

/** For requests that an SDK sends past the hook where calls wait. Only those that generate something are calls. */
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

/** The model in a body: an object's field or a form's field. */
export function modelOf(body: unknown): string | undefined {
  const model: unknown = isForm(body) ? body.get('model') : (Object(body) as { model?: unknown }).model
  return typeof model === 'string' ? model : undefined
}

export function modelIn(path: string): string | undefined {
  const [, model] = MODEL.exec(path) ?? []
  return model && decodeURIComponent(model)
}

/** A stream can be sent only once, so it cannot be repeated after a refusal. */
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

// Talking to the server: JSON in, JSON out, and errors as it writes them.

/** Failure is what the server says when it cannot: a code, a message and often a hint. */
export class Failure extends Error {
  code: string
  hint: string
  status: number

  constructor(status: number, body: { code?: string; message?: string; hint?: string }) {
    super(body.message ?? `the server answered ${status}`)
    this.code = body.code ?? 'internal'
    this.hint = body.hint ?? ''
    this.status = status
  }
}

type Query = Record<string, string | number | boolean | undefined | null>

/** address joins a path and a query; empty values are left out. */
export function address(path: string, query: Query = {}): string {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(query)) if (v !== undefined && v !== null && v !== '' && v !== false) q.set(k, String(v))
  const text = q.toString()
  return text ? `${path}?${text}` : path
}

/** inProject is the path of a thing in a project; every part is escaped. */
export function inProject(project: string, ...parts: (string | number)[]): string {
  return ['/api/v1/projects', project, ...parts].map((p, i) => (i ? encodeURIComponent(p) : p)).join('/')
}

async function send(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  let reply: Response
  try {
    reply = await fetch(url, {
      method,
      signal,
      headers: body === undefined ? undefined : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
  } catch (e) {
    if (signal?.aborted) throw e
    throw new Failure(0, { code: 'unavailable', message: 'the server does not answer', hint: 'start it with `slipway up`' })
  }
  if (reply.ok) return reply
  const said = await reply.json().catch(() => ({}))
  throw new Failure(reply.status, said && typeof said === 'object' ? said : {})
}

/** get reads JSON. It fails with Failure. */
export async function get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
  return (await send('GET', address(path, query), undefined, signal)).json() as Promise<T>
}

/** list reads a JSON list; an empty one may come as null. */
export async function list<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T[]> {
  return (await get<T[] | null>(path, query, signal)) ?? []
}

/** text reads plain text, such as a log. */
export async function text(path: string, query?: Query, signal?: AbortSignal): Promise<string> {
  return (await send('GET', address(path, query), undefined, signal)).text()
}

/** post sends JSON and reads JSON. */
export async function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  return (await send('POST', path, body, signal)).json() as Promise<T>
}

/** absent reports whether an error says that there is no such thing, or no such operation. */
export function absent(e: unknown): boolean {
  return e instanceof Failure && (e.code === 'not_found' || e.status === 404)
}

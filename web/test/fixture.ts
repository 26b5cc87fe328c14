// A server of fixtures: the built interface, and an API whose answers are
// shaped like the server's. `npm run fixture` starts it for development;
// test/browser.ts drives a browser against it.
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Event } from '../src/lib/type'
import { answers, events } from './story'

const dist = fileURLToPath(new URL('../dist', import.meta.url))
const kinds: Record<string, string> = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json' }

const readers = new Set<ServerResponse>()

/** emit sends an event to everyone who follows, as the server does when it seals one. */
export function emit(e: Event) {
  events.push(e)
  for (const r of readers) r.write(`data: ${JSON.stringify(e)}\n\n`)
}

function json(res: ServerResponse, status: number, body: unknown) {
  res.writeHead(status, { 'Content-Type': 'application/json' })
  res.end(JSON.stringify(body))
}

function api(req: IncomingMessage, res: ServerResponse, url: URL) {
  const path = url.pathname
  if (path === '/api/v1/events') {
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    res.flushHeaders()
    readers.add(res)
    res.on('close', () => readers.delete(res))
    return
  }
  for (const [pattern, answer] of answers) {
    const match = pattern.exec(path)
    if (!match || (req.method !== 'GET' && !/\/(sql|release)$/.test(path))) continue
    const body = answer(match.slice(1).map(decodeURIComponent), url.searchParams)
    if (body === undefined) break
    if (typeof body === 'string') {
      res.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8' })
      res.end(body)
      return
    }
    return json(res, 200, body)
  }
  json(res, 404, { code: 'not_found', message: `there is nothing at ${path}`, hint: 'the fixtures do not have it' })
}

async function file(res: ServerResponse, path: string) {
  const name = normalize(path).replace(/^\/+/, '')
  const body = await readFile(join(dist, name || 'index.html')).catch(() => null)
  const kind = body && extname(name) ? extname(name) : '.html'
  res.writeHead(200, { 'Content-Type': kinds[kind] ?? 'application/octet-stream' })
  res.end(body ?? (await readFile(join(dist, 'index.html'))))
}

/** serve listens on the loopback; port 0 takes a free one. */
export function serve(port = 0): Promise<{ server: Server; url: string }> {
  const server = createServer((req, res) => {
    const url = new URL(req.url ?? '/', 'http://localhost')
    if (url.pathname.startsWith('/api/')) api(req, res, url)
    else file(res, url.pathname).catch(() => json(res, 500, { code: 'internal', message: 'the interface is not built', hint: 'npm run build' }))
  })
  return new Promise((resolve, reject) => {
    server.on('error', reject)
    server.listen(port, '127.0.0.1', () => {
      const at = server.address()
      resolve({ server, url: `http://127.0.0.1:${typeof at === 'object' && at ? at.port : port}` })
    })
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await serve(Number(process.env.PORT ?? 7070))
  console.log(`fixtures (${events.length} events) at ${url}`)
}

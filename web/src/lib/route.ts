// Addresses. A page is /p/PROJECT/PLACE/…; everything else is answered by the API.

/** Place is a page of the sidebar, with the letter that goes there after g. */
export interface Place {
  name: string
  title: string
  letter: string
}

export const places: Place[] = [
  { name: 'loop', title: 'Loop', letter: 'l' },
  { name: 'data', title: 'Data', letter: 'd' },
  { name: 'pipeline', title: 'Pipeline', letter: 'p' },
  { name: 'runs', title: 'Runs', letter: 'r' },
  { name: 'models', title: 'Models', letter: 'm' },
  { name: 'endpoints', title: 'Endpoints', letter: 'e' },
  { name: 'monitor', title: 'Monitor', letter: 'o' },
  { name: 'backtest', title: 'Backtest', letter: 'b' },
  { name: 'trace', title: 'Trace', letter: 't' },
  { name: 'log', title: 'Audit log', letter: 'a' },
]

/** Route is a parsed address: a project, a page in it, and what follows. */
export interface Route {
  project: string
  page: string
  rest: string[]
  query: URLSearchParams
}

/** parse reads an address. Project "" is the start page. */
export function parse(path: string, search = ''): Route {
  const parts = path.split('/').filter(Boolean).map(decode)
  const query = new URLSearchParams(search)
  if (parts[0] !== 'p' || !parts[1]) return { project: '', page: parts.length ? 'missing' : 'start', rest: parts, query }
  return { project: parts[1], page: parts[2] ?? 'loop', rest: parts.slice(3), query }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** to writes an address. */
export function to(project: string, page: string, rest: (string | number)[] = [], query: Record<string, string> = {}): string {
  const path = ['/p', encodeURIComponent(project)]
  if (page !== 'loop' || rest.length) path.push(page, ...rest.map((r) => encodeURIComponent(r)))
  const q = new URLSearchParams(query).toString()
  return path.join('/') + (q ? '?' + q : '')
}

/** split takes kind:id apart. */
export function split(ref: string): { kind: string; id: string } {
  const at = ref.indexOf(':')
  return at < 0 ? { kind: '', id: ref } : { kind: ref.slice(0, at), id: ref.slice(at + 1) }
}

/** version takes name@vN apart; the number is 0 when it names none. */
export function version(id: string): { name: string; n: number } {
  const m = /^(.*)@v(\d+)$/.exec(id)
  return m ? { name: m[1]!, n: Number(m[2]) } : { name: id, n: 0 }
}

/** home is the page on which a thing of lineage is at home; what has none is shown by its trace. */
export function home(project: string, ref: string): string {
  const { kind, id } = split(ref)
  const v = version(id)
  switch (kind) {
    case 'dataset':
      return to(project, 'data', v.n ? [v.name, v.n] : [v.name])
    case 'run':
      return to(project, 'runs', [id])
    case 'model':
      return to(project, 'models', v.n ? [v.name, v.n] : [v.name])
    case 'retraining':
      return to(project, 'backtest')
    case 'principal':
      return to(project, 'log', [], { actor: id })
    case 'label':
      return to(project, 'monitor')
    default:
      return to(project, 'trace', [], { ref })
  }
}

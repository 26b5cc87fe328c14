import { parse, type Route } from './route'

/** here is where the reader is; pages read it, links change it. */
class Here {
  route: Route = $state.raw(parse(location.pathname, location.search))

  constructor() {
    addEventListener('popstate', () => this.read())
    document.addEventListener('click', (e) => this.click(e))
  }

  private read() {
    this.route = parse(location.pathname, location.search)
  }

  /** go moves to an address of this interface. */
  go(address: string, replace = false) {
    if (address === location.pathname + location.search) return
    history[replace ? 'replaceState' : 'pushState'](null, '', address)
    this.read()
    if (!replace) scrollTo(0, 0)
  }

  /** set changes one word of the query and nothing else, without a new entry in the history. */
  set(changes: Record<string, string | null>) {
    const q = new URLSearchParams(location.search)
    for (const [k, v] of Object.entries(changes)) v ? q.set(k, v) : q.delete(k)
    const text = q.toString()
    this.go(location.pathname + (text ? '?' + text : ''), true)
  }

  private click(e: MouseEvent) {
    if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
    const a = (e.target as Element).closest?.('a')
    if (!a || a.target || a.hasAttribute('download') || a.origin !== location.origin) return
    if (a.pathname !== '/' && !a.pathname.startsWith('/p/')) return
    e.preventDefault()
    this.go(a.pathname + a.search)
  }
}

export const here = new Here()

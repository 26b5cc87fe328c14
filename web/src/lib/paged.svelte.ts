import { parts, type Span } from './span'

/**
 * Paged is a long list of which the pages that are looked at are here. A page
 * is asked for when it comes into sight, and no more when it left it before its
 * turn came: a reader who drags the scroll bar waits only for where they stop.
 */
export class Paged<T> {
  total = $state(0)
  error: unknown = $state.raw(undefined)
  ready = $state(false)
  private version = $state(0)
  private pages = new Map<number, T[]>()
  private asked = new Map<number, AbortController>()
  private seen: Span = { first: 0, last: 0 }
  private timer = 0
  private turn = 0
  readonly size: number
  private readonly read: (offset: number, limit: number, signal: AbortSignal) => Promise<{ rows: T[]; more: boolean }>
  private readonly count: (signal: AbortSignal) => Promise<number>

  constructor(size: number, read: Paged<T>['read'], count: Paged<T>['count']) {
    this.size = size
    this.read = read
    this.count = count
  }

  /** row is row i, or undefined while it is on its way. */
  row(i: number): T | undefined {
    void this.version
    return this.pages.get(Math.floor(i / this.size))?.[i % this.size]
  }

  /** here are all rows that were read. */
  here(): T[] {
    void this.version
    return [...this.pages.entries()].sort((a, b) => a[0] - b[0]).flatMap(([, p]) => p)
  }

  /** start reads the first page and counts; what is shown stays until they are there. */
  start() {
    this.stop()
    const mine = ++this.turn
    this.ask(0, mine, true)
    const count = new AbortController()
    this.asked.set(-1, count)
    this.count(count.signal).then(
      (n) => mine === this.turn && (this.total = n),
      () => {}, // the first page says what is wrong
    ).finally(() => this.asked.get(-1) === count && this.asked.delete(-1))
  }

  /** look says what is in sight. */
  look(s: Span) {
    this.seen = s
    clearTimeout(this.timer)
    this.timer = window.setTimeout(() => this.fill(), this.ready ? 30 : 0)
  }

  /** again reads what is in sight once more, and counts again. */
  again(counting = true) {
    const mine = this.turn
    for (const p of parts(this.seen, this.size)) this.ask(p, mine, false)
    if (!counting) return
    const stop = new AbortController()
    this.count(stop.signal).then((n) => mine === this.turn && (this.total = n), () => {})
  }

  stop() {
    clearTimeout(this.timer)
    for (const a of this.asked.values()) a.abort()
    this.asked.clear()
  }

  private fill() {
    const wanted = parts(this.seen, this.size)
    for (const [p, a] of this.asked)
      if (p >= 0 && !wanted.includes(p)) {
        a.abort()
        this.asked.delete(p)
      }
    for (const p of wanted) if (!this.pages.has(p) && !this.asked.has(p)) this.ask(p, this.turn, false)
  }

  private ask(p: number, mine: number, fresh: boolean) {
    const stop = new AbortController()
    this.asked.get(p)?.abort()
    this.asked.set(p, stop)
    this.read(p * this.size, this.size, stop.signal).then(
      ({ rows, more }) => {
        if (mine !== this.turn || stop.signal.aborted) return
        if (fresh) {
          this.pages.clear()
          this.total = rows.length + (more ? Math.max(0, this.total - rows.length) : 0)
        }
        this.pages.set(p, rows)
        this.forget(p)
        const end = p * this.size + rows.length
        if (!more && (rows.length > 0 || p === 0)) this.total = end
        else if (end > this.total) this.total = end
        this.error = undefined
        this.ready = true
        this.version++
        this.asked.delete(p)
        if (fresh) this.fill()
      },
      (e) => {
        if (mine !== this.turn || stop.signal.aborted) return
        this.asked.delete(p)
        this.error = e
      },
    )
  }

  /** forget keeps a list that was scrolled through from filling the memory. */
  private forget(p: number) {
    const most = 60
    if (this.pages.size <= most) return
    const far = [...this.pages.keys()].sort((a, b) => Math.abs(b - p) - Math.abs(a - p))
    for (const k of far.slice(0, this.pages.size - most)) this.pages.delete(k)
  }
}

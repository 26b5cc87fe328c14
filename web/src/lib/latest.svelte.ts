import { list } from './api'
import { facts, newer, nodes, type Facts } from './loop'
import { live } from './live.svelte'
import type { Event } from './type'

/** Latest holds, for the project that is looked at, the newest event of every
 * part of the loop: read once from the log, then kept by live events. */
class Latest {
  private project = $state('')
  private now: Facts = $state.raw({ node: {}, alarm: [] })
  log: Event[] = $state.raw([])
  error: unknown = $state.raw(undefined)
  ready = $state(false)

  constructor() {
    live.on((e) => {
      if (e.project !== this.project || (this.log[0]?.number ?? 0) >= e.number) return
      this.now = newer(this.now, e)
      if (!frequent(e)) this.log = [e, ...this.log].slice(0, depth)
    })
  }

  /** of is the facts of a project; the first call for one reads them. */
  of(project: string): Facts {
    if (project && project !== this.project) queueMicrotask(() => this.read(project))
    return this.now
  }

  async read(project: string) {
    if (project === this.project && !this.error) return
    this.project = project
    this.ready = false
    this.now = { node: {}, alarm: [] }
    this.log = []
    this.error = undefined
    try {
      const ask = (verb: string, limit: number) => list<Event>('/api/v1/audit/events', { project, verb, newest: true, limit })
      const [newest, labels] = await Promise.all([ask(rare.join(), depth), ask('label.', 1)])
      if (this.project !== project) return
      this.log = newest
      this.now = facts([...labels, ...newest].sort((a, b) => a.number - b.number))
    } catch (e) {
      this.error = e
    }
    this.ready = true
  }
}

/** Labels come by the hour, and would push everything else out of what is read. */
const frequent = (e: Event) => e.verb.startsWith('label.')
const rare = [...new Set(nodes.flatMap((n) => n.verbs)), 'access.'].filter((v) => v !== 'label.')

/** depth is how many events are looked through for the latest of each part. */
const depth = 2000

export const latest = new Latest()

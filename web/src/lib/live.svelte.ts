import type { Event } from './type'

type See = (e: Event) => void

/** Live follows the sealed events of the workspace and tells whoever asked. It
 * comes back by itself, from the last number that it saw. */
class Live {
  state: 'connecting' | 'live' | 'away' = $state('connecting')
  latest: Event | null = $state.raw(null)
  private source: EventSource | null = null
  private after = -1
  private wait = 500
  private readers = new Set<See>()

  start() {
    if (this.source) return
    const source = new EventSource('/api/v1/events' + (this.after >= 0 ? `?after=${this.after}` : ''))
    this.source = source
    source.onopen = () => {
      this.state = 'live'
      this.wait = 500
    }
    source.onmessage = (m) => {
      const e = JSON.parse(m.data) as Event
      this.after = e.number
      this.latest = e
      for (const see of this.readers) see(e)
    }
    source.onerror = () => {
      // The browser's own retry would miss what happened meanwhile: it does
      // not send the number it saw.
      source.close()
      this.source = null
      this.state = 'away'
      setTimeout(() => this.start(), this.wait)
      this.wait = Math.min(15000, this.wait * 2)
    }
  }

  /** on calls see with every event until the returned function is called. */
  on(see: See): () => void {
    this.readers.add(see)
    return () => this.readers.delete(see)
  }
}

export const live = new Live()

import { here } from './place.svelte'
import { live } from './live.svelte'

/** Load is something read from the server: what came, or why it did not. */
export class Load<T> {
  value: T | undefined = $state.raw(undefined)
  error: unknown = $state.raw(undefined)
  busy = $state(true)

  /** again reads it once more; what is shown stays until the new value is there. */
  again: () => void = () => {}
}

/**
 * load reads while the component lives, again whenever what `read` looks at
 * changes, and whenever something happens in the project whose verb begins with
 * one of `verbs`.
 */
export function load<T>(read: (signal: AbortSignal) => Promise<T>, verbs: string[] = []): Load<T> {
  const out = new Load<T>()
  let turn = $state(0)
  let shown = -1
  out.again = () => turn++
  $effect(() => {
    const mine = turn
    const stop = new AbortController()
    out.busy = true
    if (mine === shown || shown < 0) out.error = undefined
    read(stop.signal).then(
      (v) => {
        if (stop.signal.aborted) return
        out.value = v
        out.error = undefined
        out.busy = false
        shown = mine
      },
      (e) => {
        if (stop.signal.aborted) return
        out.value = undefined
        out.error = e
        out.busy = false
      },
    )
    return () => stop.abort()
  })
  $effect(() => {
    if (verbs.length === 0) return
    const project = here.route.project
    let timer = 0
    const off = live.on((e) => {
      if (e.project && e.project !== project) return
      if (!verbs.some((v) => e.verb.startsWith(v))) return
      // A burst of events is one change to the reader.
      clearTimeout(timer)
      timer = window.setTimeout(out.again, 250)
    })
    return () => {
      off()
      clearTimeout(timer)
    }
  })
  return out
}

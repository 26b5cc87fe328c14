// The loop as the interface draws it: eight parts, each with the events that
// tell of it.
import type { Event } from './type'
import type { Tone } from './tone'

export interface Part {
  name: string
  title: string
  page: string
  verbs: string[]
  waits: string // what fills it while it is empty
}

export const nodes: Part[] = [
  { name: 'data', title: 'Data', page: 'data', verbs: ['dataset.'], waits: 'slipway data add' },
  { name: 'pipeline', title: 'Pipeline', page: 'pipeline', verbs: ['run.', 'revision.'], waits: 'slipway run' },
  { name: 'gates', title: 'Gates', page: 'models', verbs: ['gate.'], waits: 'slipway gate run' },
  { name: 'registry', title: 'Registry', page: 'models', verbs: ['model.'], waits: 'slipway model register' },
  { name: 'rollout', title: 'Rollout', page: 'endpoints', verbs: ['rollout.', 'release.created', 'release.refused', 'release.rolled_back'], waits: 'slipway deploy' },
  { name: 'serving', title: 'Serving', page: 'endpoints', verbs: ['release.activated', 'release.rolled_back', 'breaker.', 'endpoint.'], waits: 'slipway deploy' },
  { name: 'monitor', title: 'Monitor', page: 'monitor', verbs: ['drift.', 'quality.', 'feed.', 'label.', 'alert.'], waits: 'slipway labels add' },
  { name: 'retrain', title: 'Retrain', page: 'backtest', verbs: ['retrain.', 'backtest.'], waits: 'slipway retrain' },
]

/** partOf lists the parts of the loop that an event tells of. */
export function partOf(e: Event): Part[] {
  return minor(e) ? [] : nodes.filter((n) => n.verbs.some((v) => e.verb.startsWith(v)))
}

/** minor reports whether an event is a detail of a larger one: a step of a run. */
export function minor(e: Event): boolean {
  return e.verb.startsWith('run.') && e.data?.kind === 'step'
}

/** Facts are the latest event of each part, and what is alarming now. */
export interface Facts {
  node: Record<string, Event | undefined>
  alarm: Event[]
}

/** newer puts an event into the facts. */
export function newer(f: Facts, e: Event): Facts {
  const node = { ...f.node }
  for (const p of partOf(e)) if ((node[p.name]?.number ?? -1) <= e.number) node[p.name] = e
  return { node, alarm: alarms(f.alarm, e) }
}

const begins = ['drift.detected', 'quality.low', 'feed.stuck']
const ends = ['drift.cleared', 'quality.restored', 'feed.resumed']

/** alarms keeps what began and has not ended since, newest first. An alarm begins and ends under one subject. */
function alarms(before: Event[], e: Event): Event[] {
  if (begins.includes(e.verb)) return [e, ...before.filter((x) => x.subject !== e.subject)]
  return ends.includes(e.verb) ? before.filter((x) => x.subject !== e.subject) : before
}

/** facts folds a log, oldest first, into the latest of each part. */
export function facts(log: Event[]): Facts {
  return log.reduce(newer, { node: {}, alarm: [] })
}

/** shown is the event that a part of the picture shows: an alarm that stands outweighs whatever came since. */
export function shown(f: Facts, part: string): Event | undefined {
  return part === 'monitor' && f.alarm[0] ? f.alarm[0] : f.node[part]
}

/** worst is the tone of a part's latest event. */
export function worst(e: Event | undefined): Tone {
  if (!e) return 'none'
  const data = e.data ?? {}
  const status = String(data.status ?? data.state ?? data.verdict ?? '').toLowerCase()
  switch (e.verb) {
    case 'dataset.refused':
    case 'release.refused':
    case 'release.rolled_back':
    case 'drift.detected':
    case 'quality.low':
    case 'feed.stuck':
      return 'bad'
    case 'gate.decided':
      return status === 'pass' ? 'good' : status === 'refuse' ? 'bad' : 'warn'
    case 'run.finished':
      return /fail/.test(status) ? 'bad' : /kill|cancel/.test(status) ? 'warn' : 'good'
    case 'retrain.finished':
      return status === 'succeeded' ? 'good' : 'bad'
    case 'run.started':
    case 'release.created':
    case 'rollout.stage':
    case 'retrain.triggered':
      return 'busy'
  }
  return 'good'
}

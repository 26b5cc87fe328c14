// Events as sentences, short enough for a node of the picture.
import { integer, percent, plural, short, day } from './format'
import { split } from './route'
import type { Event } from './type'

const text = (v: unknown) => (v === undefined || v === null ? '' : String(v))
const count = (v: unknown) => (typeof v === 'number' ? v : Array.isArray(v) ? v.length : Number(v ?? NaN))

type Say = (id: string, data: Record<string, unknown>, e: Event) => string

const say: Record<string, Say> = {
  'revision.applied': (id) => `applied ${short(id)}`,
  'dataset.versioned': (id, d) => (Number.isFinite(count(d.rows)) ? `${id}, ${integer(count(d.rows))} rows` : id),
  'dataset.refused': (id, d) => `${id} refused${Number.isFinite(count(d.rows)) ? `: ${plural(count(d.rows), 'row')} failed` : ''}`,
  'run.started': (id, d) => `${text(d.kind) || 'run'} ${text(d.step) || short(id)} started${d.trigger ? ` (${text(d.trigger)})` : ''}`,
  'run.finished': (id, d) => `${text(d.kind) || 'run'} ${text(d.step) || short(id)} ${text(d.status).toLowerCase() || 'finished'}`,
  'model.registered': (id) => `registered ${id}`,
  'model.aliased': (id, d) => `${id} is ${text(d.alias) || 'aliased'}`,
  'model.deleted': (id) => `deleted ${id}`,
  'gate.decided': (_, d) => `${text(d.model)} ${{ pass: 'passed', refuse: 'refused' }[text(d.verdict)] ?? text(d.verdict)}`.trim(),
  'release.created': (_, d) => `${text(d.model)} to ${text(d.environment)}`,
  'release.activated': (_, d) => `${text(d.model)} in ${text(d.environment)}`,
  'release.refused': (_, d) => `${text(d.model)} refused in ${text(d.environment)}`,
  'release.rolled_back': (_, d) => `${text(d.model)} rolled back`,
  'release.retired': (_, d) => `${text(d.model)} retired from ${text(d.environment)}`,
  'rollout.stage': (_, d) => `${text(d.model)} ${text(d.stage ?? d.state)}${Number(d.weight) > 0 ? ` ${text(d.weight)} %` : ''}`,
  'drift.detected': (_, d) => text(d.summary) || `${text(d.subject)} drifted`,
  'drift.cleared': (_, d) => `${text(d.subject)} no longer drifts`,
  'quality.low': (_, d) => text(d.summary) || `${text(d.subject)} is low`,
  'quality.restored': (_, d) => `${text(d.subject)} is good again`,
  'feed.stuck': (_, d) => text(d.summary) || `${text(d.subject)} is stuck`,
  'feed.resumed': (_, d) => `${text(d.subject)} moves again`,
  'label.ingested': (_, d) => (Number.isFinite(count(d.received)) ? plural(count(d.received), 'label') : 'labels came'),
  'alert.sent': (id) => `alert sent ${short(id)}`,
  'retrain.triggered': (_, d) => `retraining by ${text(d.trigger) || 'hand'}`,
  'retrain.finished': (_, d) => `retraining by ${text(d.trigger) || 'hand'} ${text(d.state) || 'finished'}`,
  'backtest.finished': () => 'backtest finished',
  'gate.waived': (_, d) => `${text(d.model)} waived through`.trim(),
  'retrain.skipped': (_, d) => `skipped: ${text(d.reason) || 'cool-down'}`,
  'access.token_created': (id) => `token for ${id}`,
  'access.token_revoked': (id) => `token of ${id} revoked`,
}

/** phrase says what happened. */
export function phrase(e: Event): string {
  const { id } = split(e.subject)
  return say[e.verb]?.(id, e.data ?? {}, e) ?? `${e.verb.replace('.', ' ').replaceAll('_', ' ')} ${short(id)}`
}

/** detail is the rest of what an event's data says, for a table. */
export function detail(e: Event): string {
  return Object.entries(e.data ?? {})
    .filter(([, v]) => v !== null && v !== '' && typeof v !== 'object')
    .map(([k, v]) => {
      if (typeof v === 'string' && /^\d{4}-\d\d-\d\dT/.test(v)) return `${k} ${day(v)}`
      if (typeof v === 'number' && /rate|share/.test(k)) return `${k} ${percent(v)}`
      return `${k} ${typeof v === 'number' ? integer(v) : short(String(v))}`
    })
    .join(' · ')
}

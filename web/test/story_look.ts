// What one looks into: runs by pages, their artifacts, tables, what a model's
// features are worth, and what people wrote about it.
import type { Attribution, Catalog, RunKeys, Webhook } from '../src/lib/type'
import { type Answer, curve, runs } from './story'

const inP = (rest: string) => new RegExp(`^/api/v1/projects/flights/${rest}$`)
const now = '2026-11-20T10:00:00Z'

const chosen = (q: URLSearchParams) => runs.filter((r) => (!q.get('kind') || r.kind === q.get('kind')) && (!q.get('filter') || q.get('filter')!.includes('run_id IN') ? !q.get('filter') || q.get('filter')!.includes(r.id) : r.params?.some((p) => p.key === 'leaves' && p.value === '63')))
const count = (of: 'metrics' | 'params' | 'tags') => {
  const n = new Map<string, number>()
  for (const r of runs) for (const p of r[of] ?? []) n.set(p.key, (n.get(p.key) ?? 0) + 1)
  return [...n].map(([key, runs]) => ({ key, runs, differs: of === 'params' && ['leaves', 'learning_rate'].includes(key) }))
}
const keys = (): RunKeys => ({ runs: runs.length, metrics: count('metrics'), params: count('params'), tags: count('tags') })

const worths = (name: string, n = 120) => Array.from({ length: n }, (_, i) => {
  const v = Math.sin(i * 12.9898 + name.length * 3) * 0.5 + 0.5
  return { value: name === 'carrier' ? ['UA', 'B6', 'EV', 'DL'][i % 4]! : i % 29 === 7 ? null : +(v * 100).toFixed(1), worth: (v - 0.5) * (name === 'recent_delay' ? 1.4 : 0.5) + 0.06 * Math.cos(i * 7) }
})
const strong = ['recent_delay', 'hour', 'carrier', 'temp']
const attribution = (q: URLSearchParams): Attribution => ({
  model: 'flight-delay@v3', method: 'tree', space: 'margin', rows: 300, feature: q.get('feature') ?? undefined,
  output: [{
    output: 'probability', base: -1.31, feature: [...strong, 'distance'].map((name, i) => ({ name, mean_abs: 0.42 / (i + 1), mean: 0.01 })),
    point: q.get('feature') ? worths(q.get('feature')!) : undefined, swarm: q.get('swarm') ? strong.map((name) => ({ name, point: worths(name) })) : undefined,
  }],
})
const catalog: Catalog = {
  name: 'flight-delay', description: 'Is a flight late by more than a quarter of an hour?', tag: [{ key: 'team', value: 'ops' }],
  version: [4, 3, 2, 1].map((version) => ({ version, stage: version === 2 ? 'Production' : version === 1 ? 'Archived' : 'None', description: version === 2 ? 'Trained with the weather of the hour.' : undefined, source: 'pipeline', state: 'passed', created: now, updated: now, actor: 'ada', tag: version === 2 ? [{ key: 'reviewed', value: 'grace' }] : [], alias: version === 2 ? ['champion'] : [] })),
  change: [{ model: 'flight-delay', version: 2, stage: 'Production', before: 'Staging', at: now, actor: 'ada' }, { model: 'flight-delay', version: 1, stage: 'Archived', before: 'Production', at: now, actor: 'ada' }],
}
const webhooks: Webhook[] = [{ id: 'w1', project: 'flights', name: 'chat', url: 'https://chat.example.org/hook', topic: ['model_version.created'], active: true, created: now, updated: now }]

export const looked: [RegExp, Answer][] = [
  [inP('runs'), (_, q) => {
    const [all, from, limit] = [chosen(q), Number(q.get('offset') ?? 0), Number(q.get('limit') ?? 1000)]
    return { runs: all.slice(from, from + limit), next: all.length > from + limit ? 'more' : undefined }
  }],
  [inP('runs/count'), (_, q) => ({ runs: chosen(q).length })],
  [inP('runs/keys'), keys],
  [inP('runs/curves'), (_, q) => q.get('run')!.split(',').map((run) => ({ run, ...curve(q.get('key')!, run) }))],
  [inP('runs/([^/]+)/artifacts'), (_, q) => (q.get('path') ? [{ path: 'model/MLmodel', size: 812 }] : [{ path: 'model', folder: true, size: 0 }, { path: 'notes.md', size: 40 }, { path: 'params.json', size: 20 }, { path: 'scores.parquet', size: 48_211 }])],
  [inP('runs/([^/]+)/artifact'), (_, q) => (q.get('path') === 'params.json' ? '{"leaves":63}' : '# Notes\nIt went well.\n')],
  [inP('runs/([^/]+)/table'), () => ({ schema: [{ name: 'key', type: 'text' }, { name: 'score', type: 'float' }], rows: [['2013-01-01|UA|1545', 0.27], ['2013-01-01|B6|725', null]], truncated: true })],
  [inP('model-versions/([^/]+)/attribution'), (_, q) => attribution(q)],
  [inP('models/([^/]+)/catalog'), () => catalog],
  [inP('model-webhooks'), () => webhooks],
  [inP('sql'), () => ({ schema: [{ name: 'carrier', type: 'text' }, { name: 'n', type: 'int' }], rows: [['UA', 58665], ['B6', 54635]] })],
  [inP('quarantine/([^/]+)/release'), () => ({ id: 'j1', kind: 'dataset.release', state: 'succeeded' })],
]

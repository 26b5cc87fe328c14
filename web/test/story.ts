// The story that the fixtures tell: a year of flights, a few versions of a
// model, a rollout under way, and a feed that got stuck.
import type { Alarm, Alert, Backtest, Certificate, Check, ColumnProfile, DataDiff, DatasetVersion, DayQuality, DriftMap, EndpointStatus, Explanation, FeatureDetail, MonitorStatus, Policy, Profile, Quality, Quarantined, Report, Retraining, Curve, Estimate, Event, Model, ModelVersion, PipelineRun, Reign, Release, Run, Signed, Task, Trace, Traffic, Verdict, WindowQuality } from '../src/lib/type'
import { looked } from './story_look'

export type Answer = (parts: string[], query: URLSearchParams) => unknown

const P = 'flights'
const at = (text: string) => new Date(text).toISOString()
const hex = (seed: string, n = 64) => {
  let h = 2166136261
  let out = ''
  for (let i = 0; out.length < n; i++) {
    for (const c of seed + i) h = Math.imul(h ^ c.charCodeAt(0), 16777619)
    out += (h >>> 0).toString(16).padStart(8, '0')
  }
  return out.slice(0, n)
}
const digest = (seed: string) => 'sha256:' + hex(seed)
/** wave is noise that is the same every time. */
const wave = (i: number, seed = 1) => Math.sin(i * 12.9898 * seed + seed * 78.233) * 0.5
const estimate = (value: number, half: number, rows = 12210, blocks = 14): Estimate => ({ value, low: value - half, high: value + half, error: half / 1.96, level: 0.95, blocks, rows, state: 'ok' })

// Runs

const runId = (n: number) => hex('run' + n, 32)
const minutes = (base: string, m: number) => new Date(Date.parse(base) + m * 60e3).toISOString()
const base = '2026-11-20T09:00:00Z'

const steps = ['prepare', 'features', 'weather', 'train', 'evaluate']
const needs: Record<string, string[]> = { prepare: [], weather: [], features: ['prepare', 'weather'], train: ['features'], evaluate: ['train', 'features'] }

function task(run: number, step: string, i: number, state: Task['state']): Task {
  const start = minutes(base, run * 9 + i * 0.4)
  const hit = state === 'reused'
  return {
    step, needs: needs[step], state, attempt: 1, tries: 1, lost: 0, run: hex(`step${run}${step}`, 32), key: digest(step + run),
    why: hit
      ? { verdict: 'hit', reason: 'nothing that it depends on has changed', run: runId(run - 1) }
      : { verdict: 'run', reason: step === 'train' ? 'a param changed' : 'its input changed', run: run > 1 ? runId(run - 1) : undefined,
          change: step === 'train' ? [{ what: 'param learning_rate', from: '0.05', to: '0.08' }, { what: 'input features.parquet', from: digest('a').slice(0, 19), to: digest('b').slice(0, 19) }] : undefined },
    material: { command: `python ${step}.py`, environment: digest('env'), [`code ${step}.py`]: digest(step + 'code') },
    started: hit || state === 'skipped' ? undefined : start, ended: hit || state === 'skipped' || state === 'running' ? undefined : minutes(start, [0.3, 0.5, 0.2, 1.4, 0.25][i]!),
    exit: state === 'failed' ? 1 : state === 'succeeded' ? 0 : undefined,
    message: state === 'failed' ? 'it ended with exit code 1' : undefined,
    output: state === 'succeeded' || hit ? { [step === 'train' ? 'model' : 'rows']: { path: step === 'train' ? 'model.txt' : `${step}.parquet`, digest: digest(step), size: 3_214_567 } } : undefined,
  }
}

const pipelineRuns: PipelineRun[] = [5, 4, 3, 2, 1].map((n) => {
  const failed = n === 4
  const nothing = n === 3
  const tasks = steps.map((s, i) => task(n, s, i, nothing ? 'reused' : failed && s === 'train' ? 'failed' : failed && s === 'evaluate' ? 'skipped' : n > 1 && (s === 'weather' || s === 'prepare') && n !== 5 ? 'reused' : 'succeeded'))
  return {
    id: runId(n), project: P, revision: Math.min(n, 3), state: failed ? 'failed' : 'succeeded', nothing, trigger: n === 5 ? 'schedule' : 'by hand',
    reason: n === 5 ? 'the first of the month' : '', actor: n === 5 ? 'retrain' : 'ada', data: { flights: { name: 'flights', version: Math.min(n, 4), tree: digest('tree') } },
    environment: { lock: digest('env'), python: '/usr/bin/python3' }, error: failed ? 'train: it ended with exit code 1' : undefined,
    created: minutes(base, n * 9), started: minutes(base, n * 9), ended: minutes(base, n * 9 + 3.4), task: tasks,
  }
})

export const runs: Run[] = Array.from({ length: 24 }, (_, i) => {
  const n = 24 - i
  const kind = n % 6 === 0 ? 'pipeline' : n % 3 === 0 ? 'step' : 'client'
  const auc = 0.68 + 0.03 * wave(n, 3)
  const last = { step: 299, time_ms: Date.parse(base) + n * 1e5 }
  return {
    id: n % 6 === 0 && n / 6 < 5 ? runId(n / 6) : n === 3 ? hex('step5train', 32) : hex('client' + n, 32), project: P, experiment: 1, name: kind === 'pipeline' ? `flights-${n / 6}` : ['calm', 'swift', 'brave', 'quiet'][n % 4] + '-gull-' + n,
    kind, status: n === 24 ? 'RUNNING' : n === 20 ? 'FAILED' : 'FINISHED', user: n % 2 ? 'ada' : 'grace', start: minutes(base, n * 3), end: n === 24 ? undefined : minutes(base, n * 3 + 1.7), stage: 'active',
    artifact_uri: `mlflow-artifacts:/1/${n}/artifacts`,
    metrics: kind === 'pipeline' ? [] : [
      { key: 'auc', ...last, step: 0, value: auc }, { key: 'log_loss', ...last, value: 0.47 - (auc - 0.68) }, { key: 'valid_auc', ...last, value: auc - 0.01 },
      { key: 'rows', ...last, step: 0, value: 78000 + n * 1000 }, ...(n === 20 ? [{ key: 'loss', ...last, value: 'NaN' }] : []),
    ],
    params: kind === 'pipeline' ? [] : [{ key: 'learning_rate', value: String([0.05, 0.08, 0.03][n % 3]) }, { key: 'leaves', value: String([31, 63][n % 2]) }, { key: 'objective', value: 'binary' }, { key: 'rounds', value: '300' }],
    tags: [{ key: 'mlflow.runName', value: 'x' }, { key: 'team', value: 'ops' }, ...(kind === 'step' ? [{ key: 'mlflow.parentRunId', value: runId(5) }] : []), { key: 'mlflow.source.git.commit', value: hex('commit', 40) }],
    datasets: kind === 'client' ? undefined : [{ name: 'flights', digest: hex('ds', 12), source_type: 'slipway', source: 'flights@v3', tags: [{ key: 'mlflow.data.context', value: 'training' }] }],
  }
})

export function curve(key: string, id: string): Curve {
  const seed = 1 + (parseInt(id.slice(0, 4), 16) % 7)
  const falls = key.includes('loss')
  const points = Array.from({ length: 300 }, (_, i) => {
    const v = 1 - Math.exp(-i / (40 + seed * 6))
    return { step: i, time_ms: Date.parse(base) + i * 400, value: (falls ? 0.69 - 0.22 * v : 0.5 + 0.19 * v) + 0.004 * wave(i, seed) }
  })
  return { key, total: 300, points }
}

// Models and certificates

const inputs = ['month', 'dep_hour', 'carrier', 'origin', 'dest', 'distance', 'temp', 'wind_speed', 'visib', 'precip', 'airport_delay']

const version = (n: number, state: ModelVersion['state']): ModelVersion => ({
  project: P, name: 'flight-delay', version: n, content: digest('model' + n), size: 1_843_201 + n * 90_000, source: 'pipeline', run: runId(n === 4 ? 5 : n), dataset: [`dataset:flights@v${n}`],
  commit: hex('commit', 40), environment: digest('env'), training: 'prepare.train', window: { from: at('2013-01-01'), to: at(['2013-04-01', '2013-07-01', '2013-09-01', '2013-10-01'][n - 1]!) }, rows: 78000 * n,
  signature: {
    task: 'binary', classes: ['on time', 'delayed'],
    input: inputs.map((name) => ({ name, type: ['carrier', 'origin', 'dest'].includes(name) ? 'text' : name === 'month' || name === 'dep_hour' ? 'int' : 'float', nullable: name === 'precip' || undefined, categories: name === 'carrier' ? ['9E', 'AA', 'AS', 'B6', 'DL', 'EV', 'F9', 'FL', 'HA', 'MQ', 'OO', 'UA', 'US', 'VX', 'WN', 'YV'] : name === 'origin' ? ['EWR', 'JFK', 'LGA'] : undefined })),
    output: [{ name: 'probability', type: 'float' }],
  },
  range: [{ feature: 'distance', min: 80, max: 4983 }, { feature: 'temp', min: 10.94, max: 100.04 }, { feature: 'dep_hour', min: 5, max: 23 }], state, created: minutes(base, n * 10), actor: n === 1 ? 'ada' : 'retrain',
})
const versions = [version(4, 'passed'), version(3, 'refused'), version(2, 'passed'), version(1, 'passed')]
const models: Model[] = [{ name: 'flight-delay', created: base, actor: 'ada', version: versions, alias: [{ alias: 'champion', version: 2, at: base, actor: 'ada' }], history: [{ alias: 'champion', version: 2, before: 1, at: minutes(base, 30), actor: 'ada' }, { alias: 'champion', version: 1, before: 0, at: base, actor: 'ada' }] }]

function certificate(n: number): Signed {
  const refused = n === 3
  const check: Check[] = [
    { name: 'rows are no training rows', kind: 'data', verdict: 'pass', reason: 'none of 12,210 keys was trained on' },
    { name: 'roc_auc', kind: 'metric', metric: 'roc_auc', estimate: estimate(0.689, 0.021), compared: 0.668, op: '>=', limit: 0.65, verdict: 'pass' },
    { name: 'log_loss against champion', kind: 'champion', metric: 'log_loss', estimate: estimate(refused ? -0.0121 : 0.0034, 0.0042), compared: refused ? -0.0163 : -0.0008, op: '>=', limit: -0.005, verdict: refused ? 'refuse' : 'pass', reason: refused ? 'it loses 0.0121 a row to flight-delay@v2, and may lose 0.0163' : undefined },
    { name: 'calibration error', kind: 'metric', metric: 'ece', estimate: estimate(0.021, 0.008), compared: 0.029, op: '<=', limit: 0.05, verdict: 'pass', curve: Array.from({ length: 9 }, (_, i) => ({ low: i / 10, high: (i + 1) / 10, predicted: 0.05 + i / 10, observed: 0.05 + i / 10 + 0.03 * wave(i, 2), rows: Math.round(4000 * Math.exp(-i / 2)) + 60, weight: 1 })) },
    { name: 'p99 latency, ms', kind: 'latency', compared: 1.92, op: '<=', limit: 5, repeat: [1.92, 1.88, 2.1], verdict: 'pass', reason: 'median of 3 repeats at 200 requests a second' },
    ...['UA', 'B6', 'EV', 'DL', 'AA', 'MQ', 'US'].map((c, i): Check => ({ name: `roc_auc where carrier = ${c}`, kind: 'slice', metric: 'roc_auc', slice: { carrier: c }, estimate: estimate(0.69 - i * 0.008, 0.02 + i * 0.004, 2400 - i * 260), compared: 0.66 - i * 0.011, op: '>=', limit: 0.6, q_value: 0.4, verdict: i === 6 ? 'shown' : 'pass', reason: i === 6 ? 'too few rows to judge' : undefined })),
    { name: 'golden rows', kind: 'golden', verdict: 'pass' },
  ]
  const c: Certificate = {
    version: 1, project: P, model: `flight-delay@v${n}`, content: digest('model' + n), source: 'pipeline', run: runId(n), dataset: [`dataset:flights@v${n}`], data: 'prepare.features.parquet[test]', gated: true, champion: n > 1 ? `flight-delay@v${Math.min(2, n - 1)}` : undefined,
    rows: 12210, blocks: 14, block: '1d', verdict: refused ? 'refuse' : 'pass', reason: refused ? 'log_loss against champion: it loses 0.0121 a row to flight-delay@v2' : undefined, check, evidence: { scores: { digest: digest('scores'), rows: 12210, size: 400_000 } },
    golden: digest('golden'), golden_rows: 200, host: { name: 'lab', system: 'linux/amd64', cpu: 'Two shared cores', cores: 2 }, time: minutes(base, n * 10 + 1), actor: 'gate',
  }
  return { digest: digest('cert' + n), certificate: c, key: 'AAAA' }
}

// Releases

const release = (id: string, n: number, environment: string, state: Release['state'], since: string, more: Partial<Release> = {}): Release => ({
  id: hex(id, 32), project: P, environment, endpoint: environment === 'production' ? 'flight-delay' : `flight-delay-${environment}`, model: `flight-delay@v${n}`, certificate: digest('cert' + n), state, weight: 0, stage: 0,
  begun: at(since), since: at(since), created: minutes(base, n * 11), actor: n === 1 ? 'ada' : 'delivery', ...more,
})
const releases: Release[] = [
  release('r7', 4, 'production', 'canary', '2013-10-16', { weight: 25, stage: 2, reason: 'errors and latency are within the limits; loss is not worse', evidence: { next: 'continue', reason: '25 % of the callers until 2013-10-17 and 2,000 requests', gain: estimate(0.0031, 0.0022, 13000, 15), requests: 1740, error_rate: 0.0006, p99_ms: 2.4, at: at('2013-10-16T14:00:00Z') } }),
  release('r6', 4, 'staging', 'active', '2013-10-01', { from: at('2013-10-01') }),
  release('r5', 3, 'staging', 'refused', '2013-10-01', { reason: 'its certificate says refuse' }),
  release('r4', 2, 'production', 'active', '2013-07-17', { from: at('2013-07-17') }),
  release('r3', 2, 'production', 'rolled_back', '2013-07-03', { reason: 'the breaker: 10 of the last 100 requests failed' }),
  release('r2', 1, 'production', 'retired', '2013-07-17', { from: at('2013-04-01'), until: at('2013-07-17'), reason: 'flight-delay@v2 took over' }),
  release('r1', 1, 'staging', 'retired', '2013-07-01', { from: at('2013-04-01'), until: at('2013-07-01') }),
]
const reigns: Reign[] = [
  { environment: 'staging', release: hex('r1', 32), model: 'flight-delay@v1', begun: base, begun_event: at('2013-04-01'), ended_event: at('2013-07-01') },
  { environment: 'staging', release: hex('r1b', 32), model: 'flight-delay@v2', begun: base, begun_event: at('2013-07-01'), ended_event: at('2013-10-01') },
  { environment: 'staging', release: hex('r6', 32), model: 'flight-delay@v4', begun: base, begun_event: at('2013-10-01') },
  { environment: 'production', release: hex('r2', 32), model: 'flight-delay@v1', begun: base, begun_event: at('2013-04-01'), ended_event: at('2013-07-17') },
  { environment: 'production', release: hex('r4', 32), model: 'flight-delay@v2', begun: base, begun_event: at('2013-07-17') },
]

// Events

let number = 0
const event = (verb: string, subject: string, data: Record<string, unknown> = {}, actor = 'ada', link: Event['link'] = []): Event => ({
  id: hex('e' + ++number, 32), number, time: new Date(Date.now() - (40 - number) * 97e3).toISOString(), project: P, actor, verb, subject, link, data,
})
export const events: Event[] = [
  event('revision.applied', 'commit:' + hex('commit', 40)),
  event('dataset.versioned', 'dataset:flights@v1', { rows: 80789, bytes: 9_200_000 }),
  event('run.started', 'run:' + runId(1), { kind: 'pipeline', trigger: 'by hand' }),
  event('run.finished', 'run:' + runId(1), { kind: 'pipeline', status: 'succeeded' }, 'ada', [{ relation: 'from', ref: 'dataset:flights@v1' }]),
  event('model.registered', 'model:flight-delay@v1', { source: 'pipeline', rows: 78000 }, 'registry', [{ relation: 'from', ref: 'run:' + runId(1) }]),
  event('gate.decided', 'certificate:' + digest('cert1'), { verdict: 'pass', model: 'flight-delay@v1' }, 'gate', [{ relation: 'from', ref: 'model:flight-delay@v1' }]),
  event('release.activated', 'release:' + hex('r2', 32), { model: 'flight-delay@v1', environment: 'production', state: 'active' }, 'delivery', [{ relation: 'from', ref: 'model:flight-delay@v1' }]),
  event('label.ingested', 'label:after-1', { received: 912, new: 912, corrected: 0, unchanged: 0 }, 'replay'),
  event('dataset.refused', 'dataset:flights', { rows: 30120, checks: 3, quarantine: hex('q', 32) }),
  event('retrain.triggered', 'run:' + runId(2), { trigger: 'schedule' }, 'retrain'),
  event('gate.decided', 'certificate:' + digest('cert3'), { verdict: 'refuse', model: 'flight-delay@v3' }, 'gate'),
  event('release.rolled_back', 'release:' + hex('r3', 32), { model: 'flight-delay@v2', environment: 'production', reason: 'the breaker' }, 'serving'),
  event('release.activated', 'release:' + hex('r4', 32), { model: 'flight-delay@v2', environment: 'production', state: 'active' }, 'delivery'),
  ...['temp', 'wind_speed', 'visib'].map((f, i) => event('feed.stuck', 'drift:' + hex('d' + i, 32), { endpoint: 'flight-delay', kind: 'feed', subject: f, since: at(`2013-09-10T0${6 + i}:00:00Z`), summary: `${f} stands still: no new value for 7 h, at most 3 h is usual`, detail: '' }, 'monitor')),
  event('drift.detected', 'drift:' + hex('d8', 32), { endpoint: 'flight-delay', kind: 'drift', subject: 'temp', since: at('2013-09-12'), summary: 'temp drifted: Jensen-Shannon 0.31, usual is at most 0.12', detail: '' }, 'monitor'),
  event('dataset.versioned', 'dataset:flights@v4', { rows: 250450, bytes: 28_000_000 }),
  event('run.finished', 'run:' + runId(5), { kind: 'pipeline', status: 'succeeded', trigger: 'schedule' }, 'retrain'),
  event('model.registered', 'model:flight-delay@v4', { source: 'pipeline', rows: 234000 }, 'registry'),
  event('gate.decided', 'certificate:' + digest('cert4'), { verdict: 'pass', model: 'flight-delay@v4' }, 'gate'),
  event('release.created', 'release:' + hex('r7', 32), { model: 'flight-delay@v4', environment: 'production' }, 'delivery'),
  event('rollout.stage', 'release:' + hex('r7', 32), { model: 'flight-delay@v4', environment: 'production', state: 'canary', weight: 25 }, 'delivery'),
  event('label.ingested', 'label:after-1', { received: 874, new: 874, corrected: 0, unchanged: 0 }, 'replay'),
]

// Lineage

const trace: Trace = {
  root: 'prediction:' + hex('p', 32), whole: true,
  node: [
    { ref: 'prediction:' + hex('p', 32), distance: 0, data: { endpoint: 'flight-delay', model: 'flight-delay@v2', time: at('2013-09-12T14:00:00Z'), key: '2013-09-12|UA|1545', carrier: 'UA', dep_hour: 14, probability: 0.2713, latency_ms: 0.412 } },
    { ref: 'release:' + hex('r4', 32), distance: -1, count: 52111, event: [events[12]!] },
    { ref: 'model:flight-delay@v2', distance: -2, event: [events[4]!] },
    { ref: 'certificate:' + digest('cert2'), distance: -2, event: [events[5]!] },
    { ref: 'run:' + runId(2), distance: -3, event: [events[3]!] },
    { ref: 'artifact:' + digest('model2'), distance: -3 },
    { ref: 'dataset:flights@v2', distance: -4, event: [events[1]!] },
    { ref: 'commit:' + hex('commit', 40), distance: -4, event: [events[0]!] },
    { ref: 'environment:' + digest('env'), distance: -4 },
  ],
  edge: [
    ['release:' + hex('r4', 32), 'prediction:' + hex('p', 32)], ['model:flight-delay@v2', 'release:' + hex('r4', 32)], ['certificate:' + digest('cert2'), 'release:' + hex('r4', 32)], ['model:flight-delay@v2', 'certificate:' + digest('cert2')],
    ['run:' + runId(2), 'model:flight-delay@v2'], ['artifact:' + digest('model2'), 'model:flight-delay@v2'], ['run:' + runId(2), 'artifact:' + digest('model2')], ['dataset:flights@v2', 'run:' + runId(2)], ['dataset:flights@v2', 'model:flight-delay@v2'],
    ['commit:' + hex('commit', 40), 'run:' + runId(2)], ['environment:' + digest('env'), 'run:' + runId(2)],
  ].map(([source, target]) => ({ source: source!, target: target! })),
}

// Data

const months = ['2013-04-01', '2013-07-01', '2013-09-01', '2013-10-01']
const dataset = (n: number): DatasetVersion => ({
  project: P, name: 'flights', version: n, tree: digest('tree' + n), files: 3 * n, bytes: 9_200_000 * n, rows: 80_789 * n,
  schema: [{ name: 'carrier', type: 'text' }, { name: 'distance', type: 'float' }], spec: { format: 'csv', time: 'departed_at', key: ['flight_id'], timezone: 'America/New_York' },
  covers: { from: at('2013-01-01'), to: at(months[n - 1]!) }, message: n === 1 ? 'January to March' : '', commit: hex('commit', 40), actor: 'ada', created: minutes(base, n * 9 - 3),
  change: n === 1 ? { from: 0, rows: 80789, bytes: 9_200_000, added: 3, removed: 0, changed: 0 } : { from: n - 1, rows: 80789, bytes: 9_200_000, added: 3, removed: 0, changed: 0 },
  contract: digest('contract'), verdict: n === 2 ? 'warn' : 'pass', report: digest('report' + n), profile: digest('profile' + n), odd: n === 4 ? ['temp is 61.0 in 8,411 rows one after another, which no month before had'] : undefined,
})
const profile = (n: number): Profile => {
  const bell = (mean: number, sd: number) => Array.from({ length: 32 }, (_, i) => Math.round(8000 * n * Math.exp(-(((i - mean) / sd) ** 2) / 2) + 40))
  const numeric = (name: string, low: number, high: number, mean: number, sd: number, missing = 0): ColumnProfile => ({
    name, type: 'float', missing, distinct: 412, min: low, max: high, mean: low + ((high - low) * mean) / 32, sd: ((high - low) * sd) / 32, quantiles: [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99].map((q) => low + (high - low) * q), histogram: { low, high, counts: bell(mean, sd) },
  })
  return {
    rows: 80789 * n, keys: 80789 * n,
    columns: [
      numeric('distance', 80, 4983, 7, 4), numeric('temp', 10.9, 100 + n, 14 + n * 2, 5, 1200 * n), numeric('wind_speed', 0, 42, 9, 4, 300), numeric('precip', 0, 1.2, 1, 2, 9000 * n),
      { name: 'carrier', type: 'text', missing: 0, distinct: 16, top: ['UA', 'B6', 'EV', 'DL', 'AA', 'MQ', 'US', '9E', 'WN', 'VX', 'FL', 'AS', 'F9', 'YV', 'HA', 'OO'].map((value, i) => ({ value, count: Math.round(15000 * n * Math.exp(-i / 4)) })), length: [2, 2] },
      { name: 'pilot_mail', type: 'text', missing: 40 * n, distinct: 900, personal: 'email', top: [{ value: 'a@example.org', count: 12 * n }] },
      { name: 'origin', type: 'text', missing: 0, distinct: 3, top: [{ value: 'EWR', count: 30000 * n }, { value: 'JFK', count: 27000 * n }, { value: 'LGA', count: 24000 * n }] },
      { name: 'departed_at', type: 'time', missing: 0, distinct: 70000, from: at('2013-01-01'), to: at(months[n - 1]!) },
    ],
    correlation: [{ a: 'temp', b: 'distance', r: 0.84 }, { a: 'temp', b: 'wind_speed', r: -0.41 }, { a: 'precip', b: 'wind_speed', r: 0.22 }],
    time: { expression: 'departed_at', from: at('2013-01-01'), to: at(months[n - 1]!), missing: 0, days: Array.from({ length: 90 * n }, (_, i) => ({ value: new Date(Date.parse('2013-01-01') + i * 86400e3).toISOString().slice(0, 10), count: Math.round(900 + 60 * wave(i) - (i % 7 === 5 ? 190 : 0)) })) },
  }
}
const report = (verdict: Report['verdict']): Report => ({
  dataset: 'flights', contract: digest('contract'), rows: 30120, files: ['data/2013-07.csv'], verdict,
  checks: [
    { kind: 'range', column: 'distance', name: 'between 50 and 6000', severity: 'error', expect: 'at most 0 rows', value: verdict === 'refuse' ? 2210 : 0, rows: verdict === 'refuse' ? 2210 : 0, pass: verdict !== 'refuse', sample: verdict === 'refuse' ? [{ row: 12, key: { flight_id: '2013-07-01|UA|1545' }, value: 7982.4 }, { row: 44, key: { flight_id: '2013-07-01|DL|461' }, value: 8123.9 }] : undefined },
    { kind: 'nullValues', column: 'temp', severity: verdict === 'pass' ? 'error' : 'warning', expect: 'less than 4 %', value: verdict === 'pass' ? 0.4 : 6.2, rows: verdict === 'pass' ? 0 : 1867, pass: verdict === 'pass' },
    { kind: 'invalidValues', column: 'carrier', severity: 'error', expect: 'one of 16 values', value: 0, pass: true },
    { kind: 'duplicateValues', column: 'flight_id', severity: 'error', expect: 'none', value: 0, pass: true },
    { kind: 'rowCount', severity: 'error', expect: 'at least 20,000', value: 30120, pass: true },
  ],
})
const quarantined: Quarantined[] = [{ id: hex('q', 32), project: P, name: 'flights', tree: digest('qt'), report: digest('qr'), checks: 2, rows: 30120, message: 'July', actor: 'ada', created: minutes(base, 40) }]

// Endpoints, explanations, backtests

const stage = (p50: number) => ({ count: 52111, p50_us: p50, p90_us: p50 * 1.7, p99_us: p50 * 3.4 })
const endpoints: EndpointStatus[] = [
  {
    project: P, name: 'flight-delay', ready: true, manifest: 12, key: ['flight_id'], time: 'departed_at', breaker: { failures: 10, of: 100, deadline: 50e6 },
    variant: [
      { release: hex('r4', 32), role: 'champion', model: 'flight-delay@v2', weight: 75, ready: true, requests: 52111, rows: 52111, failed: 3, refused: 12, explained: 40, rate: 312.4, latency: { parse: stage(11), predict: stage(38), log: stage(22), write: stage(9) } },
      { release: hex('r7', 32), role: 'challenger', model: 'flight-delay@v4', weight: 25, ready: true, requests: 1740, rows: 1740, failed: 1, refused: 0, explained: 0, rate: 104.1, latency: { parse: stage(11), predict: stage(44), log: stage(23), write: stage(9) } },
    ],
  },
  { project: P, name: 'flight-delay-staging', ready: true, manifest: 12, key: ['flight_id'], time: 'departed_at', breaker: { failures: 10, of: 100, deadline: 50e6 }, variant: [{ release: hex('r6', 32), role: 'champion', model: 'flight-delay@v4', weight: 100, ready: true, requests: 0, rows: 0, failed: 0, refused: 0, explained: 0, rate: 0, latency: {} }] },
]
const explanation: Explanation = {
  prediction_id: hex('p', 32), model: 'flight-delay@v2', output: { probability: 0.2713 }, space: 'margin', method: 'exact tree SHAP',
  explained: [{ output: 'probability', base: -1.31, feature: [['airport_delay', 31.2, 0.52], ['dep_hour', 14, -0.31], ['carrier', 'UA', 0.18], ['precip', 0, -0.09], ['visib', 10, -0.04], ['temp', 61, 0.03], ['distance', 1400, -0.01]].map(([name, sent, value]) => ({ name: String(name), sent, value: Number(value) })) }],
}
const batches = ['2013-04-01', '2013-05-01', '2013-06-01', '2013-07-01', '2013-08-01', '2013-09-01', '2013-10-01', '2013-11-01', '2013-12-01']
const policy = (name: string, trained: number, value: number, gain: number, verdict: string): Policy => ({
  name, trained, value: estimate(value, 0.009, 253000, 275), gain: estimate(gain, 0.003, 253000, 275), regret: 0.702 - value, verdict,
  by_batch: batches.map((_, i) => value + 0.02 * wave(i, 2) + (name === 'never' ? -0.002 * i : 0)), window: batches.map(() => (name.startsWith('last') ? 'last 90d' : 'everything so far')), trained_at: batches.map((b) => at(b)),
})
const backtest: Backtest = {
  project: P, metric: 'roc_auc', higher_is_better: true, rows: 'prepare.features', batch: batches.map(at), end: at('2014-01-01'), verdict: 'everything so far, every batch beats never retraining on this history',
  policy: [policy('never', 0, 0.672, 0, 'undecided'), policy('everything so far, every batch', 8, 0.69, 0.0148, 'wins'), policy('last 90d, every batch', 8, 0.663, -0.0092, 'loses'), policy('everything so far, by drift', 4, 0.684, 0.0102, 'wins'), policy('last 90d, by drift', 4, 0.671, -0.0011, 'undecided')],
  oracle: policy('oracle', 8, 0.702, 0.03, 'wins'),
}
const retrainings: Retraining[] = [
  { id: hex('t2', 32), project: P, at: at('2013-10-01T07:00:00Z'), trigger: 'schedule', reason: '0 3 1 * *', run: runId(5), state: 'succeeded', actor: 'retrain' },
  { id: hex('t1', 32), project: P, at: at('2013-09-13T07:00:00Z'), trigger: 'drift', reason: '4 features in each of 2 windows; cooling down until 2013-09-15', state: 'skipped', actor: 'retrain' },
]

// Monitor

const dayAt = (i: number) => new Date(Date.parse('2013-07-17') + i * 86400e3).toISOString()
const lastDay = 91
const drifting = ['temp', 'visib', 'wind_speed']
const verdictAt = (f: string, i: number): Verdict => (i < 3 ? 'not enough data' : drifting.includes(f) && i > 57 && i < 80 ? 'drifted' : 'ok')
const valueAt = (f: string, i: number) => (verdictAt(f, i) === 'drifted' ? 0.31 + 0.05 * wave(i) : 0.05 + 0.04 * Math.abs(wave(i, 1 + f.length)) + (f === 'month' ? 0.0008 * i : 0))
const driftMap: DriftMap = {
  endpoint: 'flight-delay', window_days: 7, days: Array.from({ length: lastDay }, (_, i) => dayAt(i)),
  features: inputs.map((feature) => ({ feature, cells: Array.from({ length: lastDay }, (_, i) => (i === 20 ? null : { verdict: verdictAt(feature, i), value: valueAt(feature, i), limit: 0.12, typical: 0.04, release: hex('r4', 32) })) })),
}
const windowQuality = (i: number, metric: string, release: string, model: string, role: string): WindowQuality => {
  const v = (metric === 'roc_auc' ? 0.68 : 0.48) + 0.015 * wave(i / 9, 2) + (model.endsWith('4') ? 0.012 : 0) - (i > 57 && i < 75 ? 0.02 : 0)
  return { release, model, role, from: dayAt(i - 7), to: dayAt(i), metric, estimate: i < 9 ? { ...estimate(v, 0, 2000, 5), low: null, high: null, error: null, state: 'not enough blocks' } : estimate(v, 0.025, 6400, 7), coverage: 0.98, limit: metric === 'roc_auc' ? '≥ 0.62' : undefined, verdict: 'ok', reason: '' }
}
const dayQuality = (i: number, release: string, model: string, role: string): DayQuality => ({
  release, model, role, day: dayAt(i), version: 1, mature: i < 89, predictions: 920, failed: 0, labelled: i < 89 ? 905 : 300, coverage: i < 89 ? 0.98 : 0.33, lag_median_s: 86400, lag_p95_s: 90000,
  metric: { roc_auc: i % 31 === 5 ? null : 0.68 + 0.05 * wave(i, 3), log_loss: 0.48 + 0.04 * wave(i, 4) },
})
const days = Array.from({ length: lastDay }, (_, i) => i)
const quality: Quality = {
  endpoint: 'flight-delay',
  days: [...days.map((i) => dayQuality(i, hex('r4', 32), 'flight-delay@v2', 'champion')), ...days.slice(76).map((i) => dayQuality(i, hex('r7', 32), 'flight-delay@v4', 'shadow'))],
  windows: [...days.flatMap((i) => ['roc_auc', 'log_loss'].map((m) => windowQuality(i, m, hex('r4', 32), 'flight-delay@v2', 'champion'))), ...days.slice(83).flatMap((i) => ['roc_auc', 'log_loss'].map((m) => windowQuality(i, m, hex('r7', 32), 'flight-delay@v4', 'shadow')))],
}
const alarm = (f: string, kind: string, since: string, firing = true): Alarm => ({ id: hex(kind + f, 32), project: P, endpoint: 'flight-delay', kind, subject: f, firing, since: at(since), until: firing ? undefined : at('2013-10-05'), summary: kind === 'feed' ? `${f} stands still: no new value for 7 h, at most 3 h is usual` : `${f} drifted: Jensen-Shannon 0.31, usual is at most 0.12`, detail: 'see the heat map', created: base })
const alarms: Alarm[] = [...['temp', 'wind_speed', 'visib'].map((f) => alarm(f, 'feed', '2013-09-10T06:00:00Z')), alarm('temp', 'drift', '2013-09-12'), alarm('precip', 'drift', '2013-08-02', false)]
const alerts: Alert[] = [{ number: 1, endpoint: 'flight-delay', kind: 'slack', secret: 'SLACK_WEBHOOK', state: 'sent', attempts: 2, next: base, created: base, sent: base, alarms: alarms.slice(0, 3) }]
const status: MonitorStatus[] = [{
  endpoint: 'flight-delay', seen: dayAt(90), window_days: 7, variants: [{ release: hex('r4', 32), model: 'flight-delay@v2', role: 'champion', first: dayAt(0), last: dayAt(90), rows: 83000 }, { release: hex('r7', 32), model: 'flight-delay@v4', role: 'challenger', first: dayAt(76), last: dayAt(90), rows: 13000 }],
  drift: { until: dayAt(90), count: { ok: 8, drifted: 3 }, drifted: drifting, declared: true }, quality: windowQuality(88, 'roc_auc', hex('r4', 32), 'flight-delay@v2', 'champion'),
  labels: { day: dayAt(88), coverage: 0.98, lag_median_s: 86400, lag_p95_s: 90000 }, feed: [{ feature: 'temp', age: 25.2e12, usual: 3.6e12, limit: 10.8e12, memory: 1, verdict: 'stuck', since: at('2013-09-10T06:00:00Z'), reason: 'it repeats its last value' }], alarms,
}]
const feature = (name: string): FeatureDetail => ({
  endpoint: 'flight-delay', feature: name, release: hex('r4', 32), model: 'flight-delay@v2', from: dayAt(84), to: dayAt(91), rows: 6412,
  bins: [{ label: 'null', reference: 0.004, current: 0.001 }, ...Array.from({ length: 18 }, (_, i) => ({ label: '', low: 10 + i * 5, high: 15 + i * 5, reference: 0.055 + 0.02 * wave(i), current: i === 10 ? 0.62 : 0.02 }))],
  drift: days.slice(3).map((i) => ({ day: dayAt(i), feature: name, release: hex('r4', 32), verdict: verdictAt(name, i), rows: 6400, detail: { feature: name, statistic: 'js', value: valueAt(name, i), typical: 0.04, limit: 0.12, largest: 0.1, p_value: 0.0004, q_value: 0.004, windows: 12, state: 'ok', drifted: verdictAt(name, i) === 'drifted', reason: 'it is beyond the largest window of the reference' } })),
  feed: status[0]!.feed![0]!,
})
const traffic: Traffic[] = Array.from({ length: 168 }, (_, i) => [{ release: hex('r4', 32), hour: new Date(Date.parse('2013-10-09') + i * 3600e3).toISOString(), rows: Math.max(0, Math.round(40 + 35 * Math.sin(((i % 24) - 8) / 4))), failed: i === 60 ? 4 : 0 }, { release: hex('r7', 32), hour: new Date(Date.parse('2013-10-09') + i * 3600e3).toISOString(), rows: Math.max(0, Math.round(12 + 10 * Math.sin(((i % 24) - 8) / 4))), failed: 0 }]).flat()
const dataDiff: DataDiff = {
  from: 'flights@v3', to: 'flights@v4', rows: 80789, files: { added: [{ path: '2013-09.csv', digest: '', size: 3_000_000 }] }, schema: [{ column: 'gate', to: 'text' }],
  columns: [{ column: 'temp', missing: [0.01, 0.015], mean: [55.1, 74.9], median: [54, 73], shift: 1.1 }, { column: 'distance', missing: [0, 0], mean: [1039.2, 1041.8], median: [872, 872], shift: 0.003 }, { column: 'carrier', missing: [0, 0], new: ['OO'], gone: [] }],
  byKey: { key: ['flight_id'], added: 80789, removed: 0, changed: 12, columns: { arr_delay: 12, tail_number: 3 }, sample: [{ key: '2013-02-01|DL|461', change: 'changed', cells: [{ column: 'arr_delay', from: '12', to: '14' }, { column: 'tail_number', from: null, to: 'N37290' }] }, { key: '2013-09-01|UA|1545', change: 'added', cells: [{ column: 'carrier', from: null, to: 'UA' }, { column: 'distance', from: null, to: '1400' }] }] },
}

const find = <T>(all: T[], is: (t: T) => boolean) => all.find(is)
const log = `reading flights@v4 (250,450 rows)\n[LightGBM] [Info] Number of positive: 58211, number of negative: 192239\n[LightGBM] [Info] Total Bins 1893\n${Array.from({ length: 30 }, (_, i) => `[${(i + 1) * 10}]\tvalid's auc: ${(0.6 + 0.09 * (1 - Math.exp(-i / 6))).toFixed(5)}`).join('\n')}\nwrote model.txt\n`

const inP = (rest: string) => new RegExp(`^/api/v1/projects/flights/${rest}$`)
export const answers: [RegExp, Answer][] = [
  [/^\/api\/v1\/projects$/, () => [{ name: 'flights' }, { name: 'default' }]],
  [/^\/api\/v1\/audit\/events$/, (_, q) => {
    const all = events.filter((e) => e.project === q.get('project') && (!q.get('verb') || q.get('verb')!.split(',').some((v) => (v.trim().endsWith('.') ? e.verb.startsWith(v.trim()) : e.verb === v.trim()))) && (!q.get('actor') || e.actor === q.get('actor')) && (!q.get('subject') || e.subject === q.get('subject')))
    return q.get('newest') ? [...all].reverse() : all
  }],
  [inP('trace'), (_, q) => (q.get('ref') === 'model:none@v1' ? undefined : { ...trace, root: trace.node.some((n) => n.ref === q.get('ref')) ? q.get('ref') : trace.root })],
  [inP('pipeline/runs'), () => pipelineRuns.map(({ task: _, ...r }) => r)],
  [inP('pipeline/runs/([^/]+)'), ([id]) => find(pipelineRuns, (r) => r.id === id)],
  [inP('pipeline/runs/([^/]+)/logs/([^/]+)'), ([, step]) => (step === 'train' ? log : '')],
  [inP('runs/compare'), (_, q) => {
    const picked = q.get('run')!.split(',').map((id) => find(runs, (r) => r.id === id)!)
    const rows = (of: 'params' | 'metrics') => [...new Set(picked.flatMap((r) => (r[of] ?? []).map((p) => p.key)))].map((key) => {
      const value = picked.map((r) => String(r[of]?.find((p) => p.key === key)?.value ?? ''))
      return { key, value, different: new Set(value).size > 1 }
    })
    return { runs: picked.map((r) => ({ id: r.id, name: r.name, status: r.status })), params: rows('params'), metrics: rows('metrics') }
  }],
  ...looked,
  [inP('runs/([^/]+)'), ([id]) => find(runs, (r) => r.id === id)],
  [inP('runs/([^/]+)/curve'), ([id], q) => curve(q.get('key')!, id!)],
  [inP('models'), () => models],
  [inP('model-versions/([^/]+)'), ([id]) => find(versions, (v) => `${v.name}@v${v.version}` === id)],
  [inP('model-versions/([^/]+)/importance'), () => [{ feature: 'recent_delay', gain: 41200.5, splits: 1830 }, { feature: 'hour', gain: 22810.25, splits: 1190 }, { feature: 'carrier', gain: 13304, splits: 902 }, { feature: 'temp', gain: 7411.5, splits: 811 }, { feature: 'distance', gain: 0, splits: 0 }]],
  [inP('model-diff'), (_, q) => ({ from: q.get('from'), to: q.get('to'), fields: [{ field: 'rows', from: '78,000', to: '156,000' }, { field: 'dataset', from: 'flights@v1', to: 'flights@v2' }], files: { changed: [{ from: { path: 'model.txt', digest: '', size: 1843201 }, to: { path: 'model.txt', digest: '', size: 1933201 } }] } })],
  [inP('certificates/([^/]+)'), ([id]) => certificate(Number(id!.split('@v')[1]))],
  [inP('data'), () => [dataset(4), { ...dataset(1), name: 'weather', contract: undefined, verdict: undefined, report: undefined, odd: undefined }]],
  [inP('data/([^/]+)/versions'), () => [4, 3, 2, 1].map(dataset)],
  [inP('data/([^/]+)/profile'), (_, q) => profile(Number(q.get('version') || 4))],
  [inP('data/([^/]+)/report'), (_, q) => report(q.get('version') === '2' ? 'warn' : 'pass')],
  [inP('data/([^/]+)/diff'), () => dataDiff],
  [inP('data/([^/]+)/rows'), () => ({ schema: [{ name: 'flight_id', type: 'text' }, { name: 'carrier', type: 'text' }, { name: 'distance', type: 'float' }], rows: [['2013-01-01|UA|1545', 'UA', 1400], ['2013-01-01|B6|725', 'B6', null]] })],
  [inP('monitor'), () => status],
  [inP('monitor/([^/]+)/drift'), () => driftMap],
  [inP('monitor/([^/]+)/quality'), () => quality],
  [inP('monitor/([^/]+)/traffic'), () => traffic],
  [inP('monitor/([^/]+)/features/([^/]+)'), ([, name]) => feature(name!)],
  [inP('alarms'), () => alarms],
  [inP('alerts'), () => alerts],
  [inP('quarantine'), () => quarantined],
  [inP('quarantine/([^/]+)'), () => report('refuse')],
  [inP('endpoints'), () => ({ endpoint: endpoints })],
  [inP('predictions/([^/]+)/explanation'), () => explanation],
  [inP('backtests'), () => [backtest]],
  [inP('retrainings'), () => retrainings],
  [inP('releases'), () => releases],
  [inP('release-history'), () => reigns],
]

// The nouns that cross the API, as the server's Go types write them.

/** Ref is kind:id. */
export type Ref = string
/** Time is RFC 3339 in UTC. */
export type Time = string

export interface Event {
  id: string
  number: number
  time: Time
  project: string
  actor: string
  verb: string
  subject: Ref
  link?: { relation: 'from' | 'to'; ref: Ref }[]
  data?: Record<string, unknown>
}

export interface Window {
  from: Time
  to: Time
}

export interface Column {
  name: string
  type: string
  nullable?: boolean
  categories?: string[]
}

/** Job is work that goes on after its request. */
export interface Job {
  id: string
  kind: string
  state: string
  error?: { code: string; message: string; hint?: string }
}

export interface Signature {
  task: string
  input: Column[] | null
  output: Column[] | null
  classes?: string[]
}

/** Estimate is a value with the interval that covers it. */
export interface Estimate {
  value: number | null
  low: number | null // null when there are too few blocks to tell
  high: number | null
  error: number | null
  level: number
  blocks: number
  rows: number
  state: string
}

export interface Artifact {
  path: string
  digest: string
  size: number
  tree?: boolean
}

// core/registry

export interface ModelVersion {
  project: string
  name: string
  version: number
  content: string
  size: number
  source: 'pipeline' | 'client'
  run?: string
  dataset?: Ref[]
  commit?: string
  environment?: string
  output?: Record<string, Artifact>
  training?: string
  window?: Window
  rows?: number
  signature: Signature
  range?: { feature: string; min: number; max: number }[]
  state: 'registered' | 'passed' | 'refused' | 'undecided' | 'ungated' | 'deleted'
  created: Time
  actor: string
}

/** Importance is how much a feature mattered in training. */
export interface Importance {
  feature: string
  gain: number
  splits: number
}

export interface Model {
  name: string
  created: Time
  actor: string
  version: ModelVersion[] | null
  alias: { alias: string; version: number; at: Time; actor: string }[] | null
  history: { alias: string; version: number; before: number; at: Time; actor: string }[] | null
}

export interface CatalogVersion {
  version: number
  description?: string
  stage: string
  origin?: string
  run?: string
  source: string
  state: string
  created: Time
  updated: Time
  actor: string
  tag: Pair[] | null
  alias: string[] | null
}

/** Catalog is a registered model as MLflow's clients know it. */
export interface Catalog {
  name: string
  description?: string
  tag: Pair[] | null
  version: CatalogVersion[] | null
  change: { model: string; version: number; stage: string; before: string; at: Time; actor: string }[] | null
}

export interface Webhook {
  id: string
  project: string
  name: string
  description?: string
  url: string
  topic: string[] | null
  active: boolean
  created: Time
  updated: Time
}

export interface ModelDiff {
  from: string
  to: string
  fields: { field: string; from: string; to: string }[] | null
  files: FileChanges
}

export interface Entry {
  path: string
  digest: string
  size: number
}

export interface FileChanges {
  added?: Entry[]
  removed?: Entry[]
  changed?: { from: Entry; to: Entry }[]
  moved?: { from: Entry; to: Entry }[]
}

// core/delivery

export interface Release {
  id: string
  project: string
  environment: string
  endpoint: string
  model: string
  certificate?: string
  state: 'created' | 'shadow' | 'canary' | 'active' | 'retired' | 'refused' | 'rolled_back' | 'kept_out'
  weight: number
  stage: number
  begun: Time
  since: Time
  from?: Time
  until?: Time
  created: Time
  actor: string
  reason?: string
  evidence?: Decision
}

export interface Decision {
  next: 'promote' | 'rollback' | 'continue'
  reason: string
  gain?: Estimate
  failure?: Estimate
  requests: number
  error_rate: number
  p99_ms: number
  at: Time
}

export interface Reign {
  environment: string
  release: string
  model: string
  begun: Time
  ended?: Time
  begun_event: Time
  ended_event?: Time
}

// core/pipeline

export type State = 'queued' | 'waiting' | 'running' | 'succeeded' | 'reused' | 'failed' | 'skipped' | 'cancelled'

export interface PipelineRun {
  id: string
  project: string
  revision: number
  state: State
  nothing?: boolean
  trigger: string
  reason?: string
  actor: string
  data?: Record<string, { name: string; version: number; tree: string }>
  environment?: { lock: string; python?: string; made?: boolean }
  error?: string
  created: Time
  started?: Time
  ended?: Time
  task?: Task[]
}

export interface Task {
  step: string
  needs?: string[]
  state: State
  why: { verdict: 'hit' | 'run' | 'wait'; reason: string; change?: { what: string; from?: string; to?: string }[]; run?: string }
  key?: string
  material?: Record<string, string>
  run?: string
  attempt: number
  tries: number
  lost: number
  started?: Time
  ended?: Time
  exit?: number
  message?: string
  output?: Record<string, { path: string; digest: string; size: number; tree?: boolean }>
  log?: string
}

export interface Revision {
  project: string
  number: number
  yaml?: string
  code: string
  commit?: string
  branch?: string
  dirty?: boolean
  actor: string
  at: Time
}

// core/audit

export interface Trace {
  root: Ref
  node: TraceNode[]
  edge: { source: Ref; target: Ref }[] | null
  whole: boolean
}

export interface TraceNode {
  ref: Ref
  distance: number
  event?: Event[]
  data?: Record<string, unknown>
  count?: number
}

// core/gate

export interface ReliabilityBin {
  low: number
  high: number
  predicted: number
  observed: number
  rows: number
  weight: number
}

export interface CertificateEntry {
  digest: string
  model: string
  verdict: string
  reason?: string
  gated: boolean
  created: Time
  actor: string
}

export interface Check {
  name: string
  kind: 'model' | 'data' | 'metric' | 'champion' | 'slice' | 'latency' | 'golden'
  metric?: string
  slice?: Record<string, string>
  estimate?: Estimate
  compared?: number
  op?: '>=' | '<='
  limit?: number
  q_value?: number
  curve?: ReliabilityBin[]
  repeat?: number[]
  verdict: string
  reason?: string
}

export interface Certificate {
  version: number
  project: string
  model: string
  content: string
  source: string
  run?: string
  dataset?: Ref[]
  commit?: string
  environment?: string
  revision?: string
  data?: string
  gated: boolean
  champion?: string
  rows?: number
  blocks?: number
  block?: string
  verdict: string
  reason?: string
  check?: Check[]
  evidence?: Record<string, { digest: string; rows: number; size: number }>
  golden?: string
  golden_rows?: number
  host: { name: string; system: string; cpu?: string; cores: number }
  time: Time
  actor: string
}

export interface Signed {
  digest: string
  certificate: Certificate
  key: string
  waiver?: { reason: string; actor: string; at: Time }
}

// core/tracking

export interface Point {
  step: number
  time_ms: number
  value: number | string | null
}

export interface Run {
  id: string
  project: string
  experiment: number
  name: string
  kind: 'client' | 'pipeline' | 'step'
  status: 'RUNNING' | 'SCHEDULED' | 'FINISHED' | 'FAILED' | 'KILLED'
  user: string
  start: Time
  end?: Time
  stage: string
  artifact_uri: string
  metrics: (Point & { key: string; model?: string; dataset?: string })[] | null
  params: Pair[] | null
  tags: Pair[] | null
  datasets?: { name: string; digest: string; source_type: string; source: string; tags: Pair[] | null }[]
  models?: { model: string; output: boolean; step: number }[]
}

export interface Pair {
  key: string
  value: string
}

export interface RunPage {
  runs: Run[] | null
  next?: string
}

export interface KeyCount {
  key: string
  runs: number
  differs?: boolean
}

export interface RunKeys {
  runs: number
  metrics: KeyCount[] | null
  params: KeyCount[] | null
  tags: KeyCount[] | null
}

export interface RunCurve extends Curve {
  run: string
}

/** Rows are some rows of a table. */
export interface Rows {
  schema: Column[] | null
  rows: unknown[][] | null
  truncated?: boolean
}

export interface Experiment {
  id: number
  name: string
}

export interface Curve {
  key: string
  total: number
  points: Point[] | null
}

export interface Comparison {
  runs: { id: string; name: string; status: string }[]
  params: ComparedRow[] | null
  metrics: ComparedRow[] | null
}

export interface ComparedRow {
  key: string
  value: string[]
  different: boolean
}

export interface RunArtifact {
  path: string
  folder?: boolean
  size: number
  digest?: string
  at?: Time
}

// core/serving

export interface EndpointStatus {
  project: string
  name: string
  ready: boolean
  failure?: string
  manifest: number
  key: string[] | null
  time: string
  breaker: { failures: number; of: number; deadline: number } // deadline in nanoseconds
  variant: VariantStatus[] | null
}

export interface VariantStatus {
  release: string
  role: 'champion' | 'challenger' | 'shadow'
  model: string
  weight: number
  ready: boolean
  tripped?: string
  requests: number
  rows: number
  failed: number
  refused: number
  explained: number
  rate: number
  latency: Record<string, Quantiles> | null
}

export interface Quantiles {
  count: number
  p50_us: number
  p90_us: number
  p99_us: number
}

export interface Explanation {
  prediction_id: string
  model: string
  output: Record<string, unknown>
  space: string
  method: string
  explained: { output: string; base: number; feature: { name: string; sent: unknown; value: number }[] | null }[] | null
}

/** Attribution is what a version's features move over the rows it was trained on. */
export interface Attribution {
  model: string
  method: string
  space: string
  rows: number
  output: AttributedOutput[] | null
  feature?: string
}

export interface AttributedOutput {
  output: string
  base: number
  feature: { name: string; mean_abs: number; mean: number }[] | null
  point?: Worth[]
  swarm?: { name: string; point: Worth[] | null }[]
}

/** Worth is what one row's value of a feature moved its prediction. */
export interface Worth {
  value: unknown
  worth: number
}

// core/retrain

export interface Retraining {
  id: string
  project: string
  at: Time
  trigger: string
  reason: string
  run?: string
  state: string
  error?: string
  actor: string
}

export interface Backtest {
  project: string
  metric: string
  higher_is_better: boolean
  rows: string
  batch: Time[] | null
  end: Time
  policy: Policy[] | null
  oracle: Policy
  verdict: string
}

export interface Policy {
  name: string
  trained: number
  value: Estimate
  gain?: Estimate
  regret: number
  by_batch: (number | null)[] | null
  window: string[] | null
  trained_at: Time[] | null
  verdict: string
}

// core/dataset

export interface DatasetVersion {
  project: string
  name: string
  version: number
  tree: string
  files: number
  bytes: number
  rows: number
  schema?: Column[]
  spec: { format?: string; time?: string; order?: string[]; key?: string[]; subject?: string; timezone?: string; guessed?: boolean }
  covers: Window
  message?: string
  commit?: string
  run?: string
  actor: string
  created: Time
  change: { from: number; rows: number; bytes: number; added: number; removed: number; changed: number }
  contract?: string
  verdict?: 'pass' | 'warn' | 'refuse'
  report?: string
  profile?: string
  odd?: string[]
  released?: Released
}

export interface Profile {
  rows: number
  keys?: number
  columns: ColumnProfile[] | null
  time?: { expression: string; from: Time; to: Time; missing: number; days: { value: string; count: number }[] | null }
  correlation?: { a: string; b: string; r: number }[]
}

export interface ColumnProfile {
  name: string
  type: string
  missing: number
  infinite?: number
  distinct: number
  min?: number
  max?: number
  mean?: number
  sd?: number
  quantiles?: number[]
  histogram?: { low: number; high: number; counts: number[] }
  top?: { value: string; count: number }[]
  from?: Time
  to?: Time
  length?: [number, number]
  padded?: number
  numbers?: number
  personal?: string // why it may be about persons
}

export interface Report {
  dataset: string
  contract: string
  rows: number
  files: string[] | null
  verdict: 'pass' | 'warn' | 'refuse'
  checks: Finding[] | null
}

export interface Finding {
  kind: string
  column?: string
  name?: string
  description?: string
  severity: string
  expect: string
  value?: number
  rows?: number
  pass: boolean
  sample?: { row?: number; key?: Record<string, unknown>; value: unknown; times?: number }[]
}

export interface Quarantined {
  id: string
  project: string
  name: string
  tree: string
  report: string
  checks: number
  rows: number
  released?: Released
  message?: string
  actor: string
  created: Time
}

/** Released is a person's word that a refused batch is used all the same. */
export interface Released {
  quarantine: string
  reason: string
  actor: string
  at: Time
  version: number
}

export interface RowChange {
  key: string
  change: string
  times?: number
  cells?: { column: string; from: string | null; to: string | null }[]
}

export interface DataDiff {
  from: string
  to: string
  files: FileChanges
  schema?: { column: string; from?: string; to?: string }[]
  rows: number
  columns?: { column: string; missing: [number, number]; mean?: number[]; median?: number[]; shift?: number; new?: string[]; gone?: string[] }[]
  byKey?: { key: string[]; added: number; removed: number; changed: number; columns?: Record<string, number>; sample?: RowChange[]; note?: string }
}

// core/monitor

export type Verdict = 'ok' | 'drifted' | 'stuck' | 'low' | 'insufficient reference' | 'not enough data'

export interface MonitorStatus {
  endpoint: string
  seen: Time
  window_days: number
  variants: { release: string; model: string; role: string; first: Time; last: Time; rows: number }[] | null
  drift: { until?: Time; count: Partial<Record<Verdict, number>> | null; drifted: string[] | null; reason?: string; declared: boolean }
  quality?: WindowQuality
  labels: { day?: Time; coverage: number; lag_median_s: number; lag_p95_s: number }
  feed: Freshness[] | null
  alarms: Alarm[] | null
}

export interface WindowQuality {
  release: string
  model: string
  role: string
  from: Time
  to: Time
  metric: string
  estimate: Estimate
  coverage: number
  limit?: string
  verdict: Verdict
  reason: string
}

export interface DayQuality {
  release: string
  model: string
  role: string
  day: Time
  version: number
  mature: boolean
  predictions: number
  failed: number
  labelled: number
  invalid?: number
  coverage: number
  lag_median_s: number
  lag_p95_s: number
  metric: Record<string, number | null>
}

export interface Freshness {
  feature: string
  age: number // nanoseconds
  usual: number
  limit: number
  memory: number
  verdict: Verdict
  since?: Time
  reason?: string
}

export interface Alarm {
  id: string
  project: string
  endpoint: string
  kind: string
  subject: string
  firing: boolean
  since: Time
  until?: Time
  summary: string
  detail: string
  created: Time
}

export interface Alert {
  number: number
  endpoint: string
  kind: string
  secret: string
  state: string
  attempts: number
  next: Time
  error?: string
  created: Time
  sent?: Time
  alarms: Alarm[] | null
}

export interface DriftMap {
  endpoint: string
  window_days: number
  days: Time[]
  features: { feature: string; cells: (DriftCell | null)[] }[]
}

export interface DriftCell {
  verdict: Verdict
  value: number | null
  limit: number | null
  typical: number | null
  release: string
}

export interface Quality {
  endpoint: string
  days: DayQuality[]
  windows: WindowQuality[]
}

export interface Traffic {
  release: string
  hour: Time
  rows: number
  failed: number
}

export interface FeatureDetail {
  endpoint: string
  feature: string
  release: string
  model: string
  from: Time
  to: Time
  rows: number
  bins: { label: string; low?: number; high?: number; reference: number; current: number }[] | null
  drift: { day: Time; feature: string; release: string; verdict: Verdict; rows: number; detail: DriftVerdict }[] | null
  feed?: Freshness
}

export interface DriftVerdict {
  feature: string
  statistic: string
  value: number | null
  typical: number | null
  limit: number | null
  largest: number | null
  p_value: number | null
  q_value: number | null
  windows: number
  state: string
  drifted: boolean
  reason: string
}

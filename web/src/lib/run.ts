import type { Point, Run } from './type'

/** numeric reads a metric's value: "NaN" comes as text. */
export function numeric(v: Point['value'] | undefined): number | null {
  if (v === null || v === undefined || v === 'NaN') return null
  const n = Number(v)
  return Number.isFinite(n) ? n : null
}

/** metric is the latest value of a metric of a run. */
export function metric(r: Run, key: string): number | null {
  return numeric(r.metrics?.find((m) => m.key === key)?.value)
}

/** param is a param of a run, or "". */
export function param(r: Run, key: string): string {
  return r.params?.find((p) => p.key === key)?.value ?? ''
}

/** own leaves out the tags that clients write for themselves. */
export function own(r: Run): { key: string; value: string }[] {
  return (r.tags ?? []).filter((t) => !t.key.startsWith('mlflow.'))
}

/** columns of a set of runs, the most common first: metrics, then params that differ. */
export function columns(runs: Run[]): { metrics: string[]; params: string[]; differing: string[] } {
  const count = (keys: string[]) => {
    const n = new Map<string, number>()
    for (const k of keys) n.set(k, (n.get(k) ?? 0) + 1)
    return [...n.entries()].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])).map(([k]) => k)
  }
  const params = count(runs.flatMap((r) => (r.params ?? []).map((p) => p.key)))
  const differs = new Map(params.map((k) => [k, new Set(runs.map((r) => param(r, k)).filter(Boolean)).size > 1]))
  return {
    metrics: count(runs.flatMap((r) => (r.metrics ?? []).map((m) => m.key))),
    params: [...params.filter((k) => differs.get(k)), ...params.filter((k) => !differs.get(k))],
    differing: params.filter((k) => differs.get(k)),
  }
}

/** field writes a key as the search grammar reads it. */
export function field(of: 'metrics' | 'params' | 'tags', key: string): string {
  return /^[A-Za-z_]\w*$/.test(key) ? `${of}.${key}` : `${of}.\`${key}\``
}

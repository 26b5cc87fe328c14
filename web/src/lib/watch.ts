import type { DayQuality, WindowQuality } from './type'

/** limitOf reads a declared limit, such as "≥ 0.62" or "< 0.5". */
export function limitOf(text: string | undefined): { min?: number; max?: number } {
  const m = /^\s*([≥≤<>]=?)\s*(-?[\d.]+(?:e-?\d+)?)\s*$/.exec(text ?? '')
  if (!m) return {}
  const v = Number(m[2])
  return m[1]!.startsWith('≥') || m[1]!.startsWith('>') ? { min: v } : { max: v }
}

/** Track is one release's quality over time. */
export interface Track {
  release: string
  model: string
  role: string
  values: (number | null)[]
  low: (number | null)[]
  high: (number | null)[]
}

/** windows puts the windows of a metric over one axis of time (seconds), a track a release. */
export function windows(all: WindowQuality[], metric: string): { x: number[]; tracks: Track[] } {
  const mine = all.filter((w) => w.metric === metric)
  const x = [...new Set(mine.map((w) => Date.parse(w.to) / 1000))].sort((a, b) => a - b)
  const at = new Map(x.map((t, i) => [t, i]))
  const tracks = new Map<string, Track>()
  for (const w of mine) {
    let t = tracks.get(w.release)
    if (!t) {
      const none = () => new Array<number | null>(x.length).fill(null)
      t = { release: w.release, model: w.model, role: w.role, values: none(), low: none(), high: none() }
      tracks.set(w.release, t)
    }
    const i = at.get(Date.parse(w.to) / 1000)!
    t.values[i] = w.estimate.value
    t.low[i] = w.estimate.low
    t.high[i] = w.estimate.high
    t.role = w.role
  }
  return { x, tracks: [...tracks.values()] }
}

/** days puts something of every day over one axis of time, a line a release. */
export function days(all: DayQuality[], of: (d: DayQuality) => number | null): { x: number[]; tracks: { release: string; model: string; values: (number | null)[] }[] } {
  const x = [...new Set(all.map((d) => Date.parse(d.day) / 1000))].sort((a, b) => a - b)
  const at = new Map(x.map((t, i) => [t, i]))
  const tracks = new Map<string, { release: string; model: string; values: (number | null)[]; version: number[] }>()
  for (const d of all) {
    let t = tracks.get(d.release)
    if (!t) {
      t = { release: d.release, model: d.model, values: new Array(x.length).fill(null), version: new Array(x.length).fill(-1) }
      tracks.set(d.release, t)
    }
    const i = at.get(Date.parse(d.day) / 1000)!
    // A day that was restated counts as it was said last.
    if (d.version >= t.version[i]!) {
      t.version[i] = d.version
      t.values[i] = of(d)
    }
  }
  return { x, tracks: [...tracks.values()].map(({ version: _, ...t }) => t) }
}

/** heat is how near a value is to its limit: 0 is none, 1 is at it. */
export function heat(value: number | null, limit: number | null): number | null {
  if (value === null || limit === null || !(limit > 0)) return null
  return value / limit
}

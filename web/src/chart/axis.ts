import { extent, ticks } from './scale'

/** Axis places values of one kind between 0 and 1: numbers on a line, or words in steps. */
export interface Axis {
  name: string
  title: string
  place: (v: unknown) => number | null
  ticks: { at: number; text: string }[]
  log: boolean
  words: boolean
}

const numberOf = (v: unknown): number | null => {
  if (v === null || v === undefined || v === '') return null
  const n = typeof v === 'number' ? v : Number(v)
  return Number.isFinite(n) ? n : null
}

/**
 * axis is made for the values that stand on it. Numbers that span two powers of
 * ten or more, such as learning rates, lie on a logarithm; words, and numbers
 * among words, on a step each, in their order.
 */
export function axis(name: string, title: string, values: unknown[], write: (v: number) => string, n = 5): Axis {
  const there = values.filter((v) => v !== null && v !== undefined && v !== '')
  const words = there.some((v) => numberOf(v) === null)
  if (words) {
    const all = [...new Set(there.map(String))].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    const at = new Map(all.map((w, i) => [w, all.length === 1 ? 0.5 : i / (all.length - 1)]))
    const every = Math.max(1, Math.ceil(all.length / 12))
    return { name, title, words, log: false, place: (v) => at.get(String(v)) ?? null, ticks: all.flatMap((w, i) => (i % every ? [] : [{ at: at.get(w)!, text: w }])) }
  }
  let [low, high] = extent(there.map(numberOf))
  const log = low > 0 && high / low >= 100
  const f = log ? Math.log10 : (v: number) => v
  const round = log ? decades(low, high) : ticks(low, high, n)
  if (!(high > low)) [low, high] = [low - (Math.abs(low) * 0.05 || 0.5), low + (Math.abs(low) * 0.05 || 0.5)]
  const place = (v: number) => (f(v) - f(low)) / (f(high) - f(low))
  return {
    name, title, words, log,
    place: (v) => {
      const x = numberOf(v)
      return x === null ? null : place(x)
    },
    ticks: (round.length ? round : [low, high]).map((t) => ({ at: place(t), text: write(t) })),
  }
}

/** decades are the powers of ten between two values, or the values where there is none. */
function decades(low: number, high: number): number[] {
  const out = []
  for (let p = Math.ceil(Math.log10(low) - 1e-9); p <= Math.log10(high) + 1e-9; p++) out.push(+(10 ** p).toPrecision(3))
  return out.length > 1 ? out : [low, high]
}

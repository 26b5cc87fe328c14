/** Scale maps values onto pixels. */
export interface Scale {
  (v: number): number
  ticks: number[]
  from: number
  to: number
}

/** linear maps [from, to] onto [a, b], with about n round ticks. */
export function linear(from: number, to: number, a: number, b: number, n = 5): Scale {
  if (!(to > from)) {
    const pad = Math.abs(from) * 0.05 || 0.5
    from -= pad
    to = from + 2 * pad
  }
  const scale = ((v: number) => a + ((v - from) / (to - from)) * (b - a)) as Scale
  scale.ticks = ticks(from, to, n)
  scale.from = from
  scale.to = to
  return scale
}

/** ticks are round numbers (1, 2, 2.5 or 5 times a power of ten) between two values. */
export function ticks(from: number, to: number, n = 5): number[] {
  const raw = (to - from) / Math.max(1, n)
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999) ?? raw
  const out = []
  for (let i = Math.ceil(from / step - 1e-9); i * step <= to + step * 1e-9; i++) out.push(+(i * step).toPrecision(12))
  return out
}

/** extent of numbers, without those that are none. */
export function extent(values: (number | null | undefined)[]): [number, number] {
  let [low, high] = [Infinity, -Infinity]
  for (const v of values) {
    if (v == null || !Number.isFinite(v)) continue
    if (v < low) low = v
    if (v > high) high = v
  }
  return low > high ? [0, 1] : [low, high]
}

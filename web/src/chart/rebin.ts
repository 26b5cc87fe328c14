/** rebin spreads the counts of equal bins from low to high over other edges, as
 * if the values of a bin lay evenly in it. What lies outside is added to the
 * first and last bin, so that no value is lost. */
export function rebin(h: { low: number; high: number; counts: number[] }, edges: number[]): number[] {
  const bins = edges.length - 1
  const out = new Array<number>(Math.max(0, bins)).fill(0)
  if (bins < 1) return out
  const width = (h.high - h.low) / h.counts.length
  h.counts.forEach((count, i) => {
    const [a, b] = [h.low + i * width, h.low + (i + 1) * width]
    let left = count
    for (let k = 0; k < bins && b > a; k++) {
      const from = k === 0 ? -Infinity : edges[k]!
      const to = k === bins - 1 ? Infinity : edges[k + 1]!
      const part = count * Math.max(0, (Math.min(b, to) - Math.max(a, from)) / (b - a))
      out[k]! += part
      left -= part
    }
    if (!(b > a)) {
      // All values are one number: it lies in the bin that holds it.
      const k = edges.findIndex((e, k) => k < bins && a >= e && (a < edges[k + 1]! || k === bins - 1))
      out[Math.max(0, k < 0 ? (a < edges[0]! ? 0 : bins - 1) : k)]! += left
    }
  })
  return out
}

/**
 * swarm spreads points of one line up and down so that they do not cover each
 * other: each goes as near to the line as the ones before it let it. Where it is
 * too crowded for that, points cover each other inside the band. The answer is
 * the offset of each point.
 */
export function swarm(x: number[], radius: number, most: number): number[] {
  const order = x.map((_, i) => i).sort((a, b) => x[a]! - x[b]!)
  const off = new Array<number>(x.length).fill(0)
  const levels = Math.max(0, Math.floor(most / radius))
  const last = new Map<number, number>() // the right end of each level
  for (const i of order) {
    let best = 0
    let free = Infinity
    for (let k = 0; k <= 2 * levels; k++) {
      const level = (k % 2 ? 1 : -1) * Math.ceil(k / 2)
      const end = last.get(level) ?? -Infinity
      if (end <= x[i]! - 1.6 * radius) {
        best = level
        free = -Infinity
        break
      }
      if (end < free) {
        free = end
        best = level
      }
    }
    last.set(best, x[i]!)
    off[i] = best * radius
  }
  return off
}

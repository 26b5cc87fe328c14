// A layered drawing of a directed graph without cycles, left to right: layers
// by longest path, order within a layer by barycentre sweeps, long edges
// through a place of their own in every layer they cross (after Sugiyama,
// Tagawa and Toda, 1981).

export interface Placed {
  id: string
  x: number // left
  y: number // top
}

export interface Drawn {
  source: string
  target: string
  path: string // of an SVG path
}

export interface Layout {
  node: Placed[]
  edge: Drawn[]
  width: number
  height: number
}

export interface Size {
  w: number
  h: number
  gapX: number
  gapY: number
}

interface Cell {
  id: string
  real: boolean
  layer: number
  up: Cell[]
  down: Cell[]
  y: number
}

/** layered places nodes; `layerOf` may say the layer of a node, else it follows from the edges. */
export function layered(ids: string[], edges: [string, string][], size: Size, layerOf?: (id: string) => number): Layout {
  const known = new Set(ids)
  edges = edges.filter(([a, b]) => known.has(a) && known.has(b) && a !== b)
  const layer = layerOf ? new Map(ids.map((id) => [id, layerOf(id)])) : longest(ids, edges)
  const cells = new Map(ids.map((id) => [id, cell(id, true, layer.get(id) ?? 0)]))
  const chains = edges.map(([a, b]) => chain(cells.get(a)!, cells.get(b)!, a + '→' + b))
  const rows: Cell[][] = []
  const all = [...cells.values(), ...chains.flatMap((c) => c.slice(1, -1))]
  for (const c of all) (rows[c.layer] ??= []).push(c)
  for (let i = 0; i < rows.length; i++) rows[i] ??= []
  for (let pass = 0; pass < 6; pass++) sweep(rows, pass % 2 === 0)
  const height = place(rows, size)
  const x = (c: Cell) => c.layer * (size.w + size.gapX)
  return {
    node: [...cells.values()].map((c) => ({ id: c.id, x: x(c), y: c.y })),
    edge: chains.map((c, i) => ({ source: edges[i]![0], target: edges[i]![1], path: curve(c, x, size) })),
    width: Math.max(0, rows.length * (size.w + size.gapX) - size.gapX),
    height,
  }
}

function cell(id: string, real: boolean, layer: number): Cell {
  return { id, real, layer, up: [], down: [], y: 0 }
}

/** longest is the number of edges on the longest way to each node. A cycle is cut where it is found. */
function longest(ids: string[], edges: [string, string][]): Map<string, number> {
  const into = new Map<string, string[]>()
  for (const [a, b] of edges) into.set(b, [...(into.get(b) ?? []), a])
  const out = new Map<string, number>()
  const visit = (id: string, on: Set<string>): number => {
    const done = out.get(id)
    if (done !== undefined) return done
    if (on.has(id)) return 0
    on.add(id)
    const n = Math.max(0, ...(into.get(id) ?? []).map((a) => visit(a, on) + 1))
    on.delete(id)
    out.set(id, n)
    return n
  }
  for (const id of ids) visit(id, new Set())
  return out
}

/** chain links two cells through one cell in every layer between them. */
function chain(a: Cell, b: Cell, name: string): Cell[] {
  const out = [a]
  const step = a.layer <= b.layer ? 1 : -1
  for (let l = a.layer + step; step > 0 ? l < b.layer : l > b.layer; l += step) out.push(cell(name + l, false, l))
  out.push(b)
  for (let i = 1; i < out.length; i++) {
    const [p, q] = [out[i - 1]!, out[i]!]
    const [left, right] = p.layer <= q.layer ? [p, q] : [q, p]
    left.down.push(right)
    right.up.push(left)
  }
  return out
}

/** sweep orders each layer by the mean place of its neighbours in the layer before. */
function sweep(rows: Cell[][], forward: boolean) {
  const order = forward ? rows : [...rows].reverse()
  for (const [i, row] of order.entries()) {
    if (i === 0) continue
    const before = new Map(order[i - 1]!.map((c, k) => [c, k]))
    const centre = new Map(
      row.map((c, k) => {
        const ks = (forward ? c.up : c.down).map((n) => before.get(n)).filter((n) => n !== undefined)
        return [c, ks.length ? ks.reduce((a, b) => a + b, 0) / ks.length : k] as const
      }),
    )
    row.sort((a, b) => centre.get(a)! - centre.get(b)!)
  }
}

/** place gives every cell its top, layers centred on the tallest. */
function place(rows: Cell[][], size: Size): number {
  const tall = (c: Cell) => (c.real ? size.h : size.gapY)
  const sums = rows.map((row) => row.reduce((sum, c) => sum + tall(c) + size.gapY, -size.gapY))
  const height = Math.max(0, ...sums)
  rows.forEach((row, i) => {
    let y = (height - sums[i]!) / 2
    for (const c of row) {
      c.y = y
      y += tall(c) + size.gapY
    }
  })
  return height
}

/** curve runs from the right side of the first cell to the left side of the last. */
function curve(cells: Cell[], x: (c: Cell) => number, size: Size): string {
  const middle = (c: Cell) => c.y + (c.real ? size.h : size.gapY) / 2
  const first = cells[0]!
  let d = `M${x(first) + size.w} ${middle(first)}`
  for (let i = 1; i < cells.length; i++) {
    const [a, b] = [cells[i - 1]!, cells[i]!]
    const [x0, x1] = [x(a) + size.w, x(b)]
    const bend = (x1 - x0) / 2
    d += `C${x0 + bend} ${middle(a)} ${x1 - bend} ${middle(b)} ${x1} ${middle(b)}`
    if (!b.real) d += `H${x1 + size.w}`
  }
  return d
}

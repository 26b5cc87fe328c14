import assert from 'node:assert/strict'
import { test } from 'node:test'
import { layered } from '../src/chart/layout'
import { rebin } from '../src/chart/rebin'
import { extent, linear, ticks } from '../src/chart/scale'

const size = { w: 100, h: 40, gapX: 30, gapY: 10 }

test('every node lies to the right of what it needs, and no two overlap', () => {
  const ids = ['a', 'b', 'c', 'd', 'e', 'lone']
  const edges: [string, string][] = [['a', 'c'], ['b', 'c'], ['c', 'd'], ['a', 'e'], ['d', 'e']]
  const drawn = layered(ids, edges, size)
  const at = new Map(drawn.node.map((n) => [n.id, n]))
  for (const [s, t] of edges) assert.ok(at.get(s)!.x + size.w < at.get(t)!.x, `${s} before ${t}`)
  for (const p of drawn.node)
    for (const q of drawn.node) if (p !== q && p.x === q.x) assert.ok(Math.abs(p.y - q.y) >= size.h, `${p.id} over ${q.id}`)
  for (const n of drawn.node) assert.ok(n.y >= 0 && n.y + size.h <= drawn.height && n.x + size.w <= drawn.width)
})

test('a long edge goes around the node between its ends', () => {
  const drawn = layered(['a', 'b', 'c'], [['a', 'b'], ['b', 'c'], ['a', 'c']], size)
  const b = drawn.node.find((n) => n.id === 'b')!
  const path = drawn.edge.find((e) => e.source === 'a' && e.target === 'c')!.path
  const flat = [...path.matchAll(/ ([\d.]+)H/g)].map((m) => Number(m[1]))
  assert.equal(flat.length, 1, 'it crosses one layer')
  assert.ok(flat[0]! < b.y || flat[0]! > b.y + size.h, 'not through b')
})

test('a cycle, an edge to nowhere and a loop do not hang the drawing', () => {
  const drawn = layered(['a', 'b'], [['a', 'b'], ['b', 'a'], ['a', 'a'], ['a', 'gone']], size)
  assert.equal(drawn.node.length, 2)
  assert.ok(drawn.node.every((n) => Number.isFinite(n.x) && Number.isFinite(n.y)))
})

test('an empty graph has no size', () => {
  assert.deepEqual(layered([], [], size), { node: [], edge: [], width: 0, height: 0 })
})

test('ticks are round, inside, and about as many as asked', () => {
  for (const [from, to] of [[0, 1], [0.65, 0.71], [-3, 1200], [1e-7, 9e-7], [80, 4983]] as const) {
    const t = ticks(from, to, 5)
    assert.ok(t.length >= 2 && t.length <= 8, `${from} to ${to}: ${t}`)
    assert.ok(t.every((v) => v >= from - 1e-12 && v <= to + 1e-12))
  }
})

test('a scale of a single value has a width', () => {
  const x = linear(3, 3, 0, 100)
  assert.ok(Number.isFinite(x(3)) && x(3) > 0 && x(3) < 100)
})

test('extent skips what is no number', () => {
  assert.deepEqual(extent([null, NaN, 2, undefined, -1, Infinity]), [-1, 2])
  assert.deepEqual(extent([]), [0, 1])
})

test('rebinning loses no value', () => {
  const h = { low: 0, high: 8, counts: [4, 8, 0, 12] }
  const sum = (xs: number[]) => xs.reduce((a, b) => a + b, 0)
  for (const edges of [[0, 2, 4, 6, 8], [-5, 1, 3, 20], [2, 3, 4], [10, 11], [0, 8]]) {
    const out = rebin(h, edges)
    assert.equal(out.length, edges.length - 1)
    assert.ok(Math.abs(sum(out) - 24) < 1e-9, `${edges}: ${out}`)
  }
  assert.deepEqual(rebin(h, [0, 2, 4, 6, 8]), h.counts)
  assert.deepEqual(rebin({ low: 5, high: 5, counts: [7] }, [0, 4, 8]), [0, 7])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { days, heat, limitOf, windows } from '../src/lib/watch'
import type { DayQuality, WindowQuality } from '../src/lib/type'

test('a declared limit is read, whichever way it is written', () => {
  assert.deepEqual(limitOf('≥ 0.62'), { min: 0.62 })
  assert.deepEqual(limitOf('> 0.5'), { min: 0.5 })
  assert.deepEqual(limitOf('<= -1.5'), { max: -1.5 })
  assert.deepEqual(limitOf('≤ 1e-3'), { max: 0.001 })
  assert.deepEqual(limitOf('about 3'), {})
  assert.deepEqual(limitOf(undefined), {})
})

const window = (to: string, release: string, value: number | null, metric = 'auc') => ({ to, release, model: 'm@v1', role: 'champion', metric, estimate: { value, low: null, high: null } }) as WindowQuality

test('windows of releases share one axis, with holes where one was not there', () => {
  const w = windows([window('2013-01-02T00:00:00Z', 'a', 0.6), window('2013-01-01T00:00:00Z', 'a', 0.5), window('2013-01-02T00:00:00Z', 'b', 0.7), window('2013-01-03T00:00:00Z', 'b', 0.9, 'other')], 'auc')
  assert.equal(w.x.length, 2)
  assert.ok(w.x[0]! < w.x[1]!)
  assert.deepEqual(w.tracks.map((t) => t.values), [[0.5, 0.6], [null, 0.7]])
})

test('a day that was restated counts as it was said last', () => {
  const day = (version: number, v: number) => ({ day: '2013-01-01T00:00:00Z', release: 'a', model: 'm@v1', version, metric: { auc: v } }) as unknown as DayQuality
  for (const all of [[day(1, 0.5), day(2, 0.6)], [day(2, 0.6), day(1, 0.5)]]) assert.deepEqual(days(all, (d) => d.metric.auc ?? null).tracks[0]!.values, [0.6])
})

test('heat is one at the limit, and unknown without one', () => {
  assert.equal(heat(0.12, 0.12), 1)
  assert.equal(heat(0.3, null), null)
  assert.equal(heat(null, 0.1), null)
  assert.equal(heat(0.3, 0), null)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { axis } from '../src/chart/axis'
import { swarm } from '../src/chart/swarm'
import { advise, distance, suggest, wordAt, type Names } from '../src/lib/advise'
import { isText, logged, lookOf, pretty } from '../src/lib/preview'
import { smooth } from '../src/lib/smooth'
import { parts, visible } from '../src/lib/span'

const names: Names = { metrics: ['auc', 'val/loss', 'log_loss'], params: ['depth', 'model'], tags: ['team'] }

test('a filter that is wrong is answered with what would be right', () => {
  const table: [string, string][] = [
    ["metrics.auc == 0.8", 'Equality is written with one sign: ='],
    ["metrics.auc > 0.8 OR params.model = 'x'", 'Conditions are joined by AND only; ask twice instead of OR.'],
    ["params.model = 'x' && metrics.auc > 1", 'Write AND instead of &&.'],
    ["params.model = 'x", "A text is never closed: a ' is missing."],
    ['params.depth = 3', "A param is text: write params.depth = '3'"],
    ['params.model = lgbm and metrics.auc > 0.5', "A param is text: write params.model = 'lgbm'"],
    ['metrics.acu > 0.8', 'No recent run logs metrics.acu; did you mean metrics.auc?'],
    ['metrics.depth > 3', 'depth is logged as one of the params: write params.depth'],
    ['metrics.throughput > 3', 'No recent run logs metrics.throughput.'],
    ['auc > 0.8', 'Say what it is: metrics.auc'],
    ["metrics.auc > 0.8 AND params.model = 'a == b or c'", ''], ['metrics.`val/loss` < 1', ''], ["attributes.status = 'FINISHED'", ''], ["status = 'FAILED'", ''], ['', ''],
  ]
  for (const [filter, want] of table) assert.equal(advise(filter, names), want, filter)
  assert.equal(advise('metrics.acu > 1', { metrics: [], params: [], tags: [] }), '', 'nothing is known of names')
})

test('names are completed where the caret stands, and not inside a text', () => {
  assert.deepEqual(suggest('metr', 4, names).options.slice(0, 2), ['metrics.auc', 'metrics.`val/loss`'])
  assert.deepEqual(suggest("metrics.auc > 1 AND dep", 23, names), { from: 20, options: ['params.depth'] })
  assert.deepEqual(suggest('loss', 4, names).options, ['metrics.`val/loss`', 'metrics.log_loss'])
  assert.deepEqual(suggest("params.model = 'de", 18, names).options, [])
  assert.deepEqual(suggest('metrics.auc > 0.8', 17, names).options, [])
  assert.deepEqual(suggest('a AND', 5, names).options, [])
  assert.deepEqual(wordAt('metrics.`val/lo', 15), { from: 0, word: 'metrics.`val/lo' })
  assert.equal(distance('kitten', 'sitting'), 3)
})

test('only the rows in sight, and the pages that hold them, are looked at', () => {
  assert.deepEqual(visible(0, 600, 30, 100_000, 10), { first: 0, last: 30 })
  assert.deepEqual(visible(1_500_000, 600, 30, 100_000, 10), { first: 49_990, last: 50_030 })
  assert.deepEqual(visible(1e9, 600, 30, 5, 10), { first: 5, last: 5 })
  assert.deepEqual(parts({ first: 95, last: 205 }, 100), [0, 1, 2])
  assert.deepEqual(parts({ first: 100, last: 200 }, 100), [1])
  assert.deepEqual(parts({ first: 5, last: 5 }, 100), [])
})

test('smoothing begins at the first value, keeps gaps, and keeps a constant', () => {
  assert.deepEqual(smooth([1, 2, 3], 0), [1, 2, 3])
  assert.equal(smooth([5, 7], 0.9)[0], 5)
  assert.deepEqual(smooth([null, 4, null, 4], 0.5).map((v) => v && +v.toFixed(9)), [null, 4, null, 4])
  const s = smooth([0, 0, 0, 1], 0.5)
  assert.ok(Math.abs(s[3]! - 0.5 / 0.9375) < 1e-12, 'as Adam corrects its moments')
})

test('an axis is a line, a logarithm or steps', () => {
  const write = String
  const line = axis('a', 'a', [0, '5', 10, null, ''], write)
  assert.deepEqual([line.place(0), line.place('5'), line.place(10), line.place(''), line.log], [0, 0.5, 1, null, false])
  const log = axis('a', 'a', [0.001, 1], write)
  assert.ok(log.log)
  assert.ok(Math.abs(log.place(0.0316227766)! - 0.5) < 1e-6)
  assert.deepEqual(log.ticks.map((t) => t.text), ['0.001', '0.01', '0.1', '1'])
  const words = axis('a', 'a', ['b', 'a', 'c', 'a'], write)
  assert.deepEqual([words.place('a'), words.place('b'), words.place('c'), words.place('d')], [0, 0.5, 1, null])
  assert.equal(axis('a', 'a', [3, 3], write).place(3), 0.5, 'one value lies in the middle')
})

test('points of a swarm do not cover each other while there is room', () => {
  const off = swarm([10, 10.5, 11, 300], 3, 15)
  assert.equal(new Set(off.slice(0, 3)).size, 3)
  assert.equal(Math.abs(off[3]!), 0)
  for (const o of swarm(Array(500).fill(7), 3, 12)) assert.ok(Math.abs(o) <= 12)
})

test('a file is shown as what it is', () => {
  const table: [string, string][] = [['a/b.png', 'image'], ['scores.PARQUET', 'table'], ['x.json', 'json'], ['model/MLmodel', 'text'], ['train.log', 'text'], ['model.pkl', 'unknown'], ['data', 'unknown']]
  for (const [path, want] of table) assert.equal(lookOf(path), want, path)
  assert.ok(isText(new TextEncoder().encode('plain, ünïcode\n')))
  assert.ok(!isText(new Uint8Array([80, 75, 3, 4, 0, 0])))
  assert.equal(pretty('{"a":1}'), '{\n  "a": 1\n}')
  assert.equal(pretty('{"a":'), '{"a":')
  assert.deepEqual(logged('{"columns":["a"],"data":[[1],[2]]}'), { columns: ['a'], data: [[1], [2]] })
  assert.equal(logged('{"columns":["a"],"data":{}}'), null)
})

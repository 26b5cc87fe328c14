import assert from 'node:assert/strict'
import { test } from 'node:test'
import { absent, address, Failure, inProject } from '../src/lib/api'
import { ago, bytes, day, exact, fixed, integer, known, length, number, percent, short } from '../src/lib/format'
import { facts, newer, partOf, shown, worst } from '../src/lib/loop'
import { detail, phrase } from '../src/lib/phrase'
import { home, parse, places, to, version } from '../src/lib/route'
import { columns, field, metric, numeric } from '../src/lib/run'
import { tone } from '../src/lib/tone'
import type { Event, Run } from '../src/lib/type'

test('numbers are written as people read them', () => {
  const table: [string, string][] = [
    [integer(336776), '336,776'], [integer(null), '–'], [number(0.123456), '0.1235'], [number(-0.0121), '−0.0121'], [number(0), '0'],
    [number(1153.2), '1,153'], [number(7982.4, 6), '7,982.4'], [number(NaN), '–'], [number(Infinity), '∞'], [number(0.00001234), '1.23e−5'], [fixed(0.5, 3), '0.500'], [fixed(null), '–'],
    [percent(0.0123), '1.2 %'], [bytes(999), '999 B'], [bytes(1_843_201), '1.84 MB'], [bytes(999_950), '1 MB'],
    [length(0.037), '37 µs'], [length(1.92), '1.92 ms'], [length(2400), '2.4 s'], [length(204_000), '3 min 24 s'], [length(7_200_000), '2 h'], [length(NaN), '–'],
  ]
  for (const [got, want] of table) assert.equal(got, want)
})

test('a time that Go left zero is unknown', () => {
  assert.equal(known('0001-01-01T00:00:00Z'), false)
  assert.equal(ago('0001-01-01T00:00:00Z'), '–')
  assert.equal(day(undefined), '–')
})

test('times are relative, and exact on demand', () => {
  const now = Date.parse('2026-11-20T12:00:00Z')
  assert.equal(ago('2026-11-20T11:59:58Z', now), 'now')
  assert.equal(ago('2026-11-20T11:55:00Z', now), '5 min ago')
  assert.equal(ago('2026-11-18T11:00:00Z', now), '2 d ago')
  assert.equal(ago('2013-04-01T00:00:00Z', now), '13 years ago')
  assert.equal(ago('2026-11-20T13:00:00Z', now), 'in 1 h')
  assert.equal(exact('2013-04-01T10:20:30.123456Z'), '2013-04-01 10:20:30 UTC')
})

test('ids are shortened, names are not', () => {
  assert.equal(short('sha256:' + 'ab'.repeat(32)), 'abababab')
  assert.equal(short('0123456789abcdef0123456789abcdef'), '01234567')
  assert.equal(short('flight-delay@v3'), 'flight-delay@v3')
})

test('addresses round trip, whatever the names hold', () => {
  for (const rest of [[], ['a b'], ['flights', 3], ['50%', 'ü/x']] as (string | number)[][]) {
    const text = to('my project', 'data', rest)
    const route = parse(text)
    assert.deepEqual([route.project, route.page, route.rest], ['my project', 'data', rest.map(String)])
  }
  assert.equal(parse('/').page, 'start')
  assert.equal(parse('/p/x').page, 'loop')
  assert.equal(parse('/elsewhere').page, 'missing')
  assert.equal(parse('/p/%E0%A4%A').project, '%E0%A4%A')
})

test('everything in lineage has a home', () => {
  assert.equal(home('p', 'model:churn@v3'), '/p/p/models/churn/3')
  assert.equal(home('p', 'dataset:flights@v2'), '/p/p/data/flights/2')
  assert.equal(home('p', 'dataset:flights'), '/p/p/data/flights')
  assert.equal(home('p', 'run:abc'), '/p/p/runs/abc')
  assert.equal(home('p', 'certificate:sha256:ab'), '/p/p/trace?ref=certificate%3Asha256%3Aab')
  assert.equal(home('p', 'retraining:ab'), '/p/p/backtest')
  assert.equal(home('p', 'principal:ada'), '/p/p/log?actor=ada')
  assert.deepEqual(version('a@b@v12'), { name: 'a@b', n: 12 })
})

test('letters of pages are different', () => {
  assert.equal(new Set(places.map((p) => p.letter)).size, places.length)
})

test('queries leave out what is empty, paths are escaped', () => {
  assert.equal(address('/x', { a: '', b: 0, c: undefined, d: 'q r', e: false }), '/x?b=0&d=q+r')
  assert.equal(inProject('p/q', 'models', 'a@v1'), '/api/v1/projects/p%2Fq/models/a%40v1')
})

test('a failure keeps what the server said', () => {
  const f = new Failure(404, { code: 'not_found', message: 'there is no model x', hint: 'slipway model ls' })
  assert.equal(f.message, 'there is no model x')
  assert.equal(f.hint, 'slipway model ls')
  assert.ok(absent(f))
  assert.ok(!absent(new Failure(503, {})))
})

const event = (number: number, verb: string, subject: string, data: Record<string, unknown> = {}): Event => ({ id: String(number), number, time: '2026-01-01T00:00:00Z', project: 'p', actor: 'ada', verb, subject, data })

test('each part of the loop shows its latest event', () => {
  const f = facts([
    event(1, 'dataset.versioned', 'dataset:d@v1', { rows: 10 }),
    event(2, 'run.finished', 'run:r', { kind: 'pipeline', status: 'succeeded' }),
    event(3, 'gate.decided', 'certificate:c', { verdict: 'refuse', model: 'm@v1' }),
    event(4, 'dataset.versioned', 'dataset:d@v2', { rows: 20 }),
  ])
  assert.equal(f.node.data?.number, 4)
  assert.equal(worst(f.node.gates), 'bad')
  assert.equal(worst(f.node.pipeline), 'good')
  assert.equal(worst(f.node.serving), 'none')
  assert.equal(newer(f, event(9, 'run.finished', 'run:s', { kind: 'step', status: 'failed' })).node.pipeline?.number, 2, 'a step is a detail of its run')
  assert.equal(newer(f, event(2, 'dataset.versioned', 'dataset:d@v0')).node.data?.number, 4, 'an older event changes nothing')
  assert.deepEqual(partOf(event(9, 'release.rolled_back', 'release:r')).map((p) => p.name), ['rollout', 'serving'])
})

test('an alarm stands until it is cleared, and outweighs labels that come', () => {
  let f = facts([event(1, 'feed.stuck', 'drift:a', { summary: 'temp stands still' }), event(2, 'drift.detected', 'drift:b'), event(3, 'label.ingested', 'label:after-1', { received: 5 })])
  assert.deepEqual(f.alarm.map((e) => e.subject), ['drift:b', 'drift:a'])
  assert.equal(worst(shown(f, 'monitor')), 'bad')
  f = newer(newer(f, event(4, 'drift.cleared', 'drift:b')), event(5, 'feed.resumed', 'drift:a'))
  assert.deepEqual(f.alarm, [])
  assert.equal(shown(f, 'monitor')?.verb, 'feed.resumed')
})

test('every event is a sentence, known or not', () => {
  assert.equal(phrase(event(1, 'dataset.refused', 'dataset:d', { rows: 2210, checks: 1 })), 'd refused: 2,210 rows failed')
  assert.equal(phrase(event(1, 'rollout.stage', 'release:r', { model: 'm@v2', state: 'canary', weight: 25 })), 'm@v2 canary 25 %')
  assert.equal(phrase(event(1, 'thing.turned_up', 'thing:x')), 'thing turned up x')
  assert.equal(phrase(event(1, 'drift.detected', 'drift:x', { subject: 'temp' })), 'temp drifted')
  assert.equal(detail(event(1, 'x.y', 'x:y', { rows: 1200, link: { a: 1 }, from: '2013-01-01T00:00:00Z' })), 'rows 1,200 · from 2013-01-01')
})

test('metrics that are no numbers are shown as none', () => {
  assert.equal(numeric('NaN'), null)
  assert.equal(numeric(0.5), 0.5)
  assert.equal(numeric(undefined), null)
  const run = { metrics: [{ key: 'loss', value: 'NaN', step: 1, time_ms: 0 }] } as Run
  assert.equal(metric(run, 'loss'), null)
})

test('columns that differ between runs come first', () => {
  const run = (params: Record<string, string>) => ({ metrics: [{ key: 'auc', value: 1, step: 0, time_ms: 0 }], params: Object.entries(params).map(([key, value]) => ({ key, value })) }) as Run
  assert.deepEqual(columns([run({ a: '1', z: '2' }), run({ a: '1', z: '3' })]), { metrics: ['auc'], params: ['z', 'a'], differing: ['z'] })
})

test('keys are quoted where the search grammar needs it', () => {
  assert.equal(field('metrics', 'auc'), 'metrics.auc')
  assert.equal(field('params', 'a b'), 'params.`a b`')
})

test('states of every capability have a tone', () => {
  const table: Record<string, string> = { FINISHED: 'good', refuse: 'bad', rolled_back: 'bad', undecided: 'warn', canary: 'busy', drifted: 'bad', 'not enough data': 'warn', shown: 'none' }
  for (const [state, want] of Object.entries(table)) assert.equal(tone(state), want, state)
})

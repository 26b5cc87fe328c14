import { field } from './run'
import type { RunKeys } from './type'

/** Names is what runs log under. */
export interface Names {
  metrics: string[]
  params: string[]
  tags: string[]
}

export const names = (k: RunKeys | undefined): Names => ({
  metrics: (k?.metrics ?? []).map((m) => m.key),
  params: (k?.params ?? []).map((p) => p.key),
  tags: (k?.tags ?? []).map((t) => t.key),
})

const attributes = ['run_name', 'status', 'start_time', 'end_time', 'user_id', 'run_id', 'artifact_uri']

/** fields are all that a filter may look at. */
export const fields = (n: Names): string[] => [
  ...n.metrics.map((k) => field('metrics', k)), ...n.params.map((k) => field('params', k)),
  ...attributes.map((k) => 'attributes.' + k), ...n.tags.map((k) => field('tags', k)),
]

/** wordAt is the word of a filter that ends at the caret, and where it begins. */
export function wordAt(text: string, caret: number): { from: number; word: string } {
  const before = text.slice(0, caret)
  // Inside a text there is nothing to complete.
  if ((before.match(/'/g)?.length ?? 0) % 2 === 1 || (before.match(/"/g)?.length ?? 0) % 2 === 1) return { from: caret, word: '' }
  const m = /[\w.`@/-]*$/.exec(before)!
  return { from: caret - m[0].length, word: m[0] }
}

/** suggest offers fields for the word at the caret, those that begin with it first. */
export function suggest(text: string, caret: number, n: Names, most = 8): { from: number; options: string[] } {
  const { from, word } = wordAt(text, caret)
  if (!word || /^(and|in|like|ilike|is|not|null)$/i.test(word) || /^[\d.-]+$/.test(word)) return { from, options: [] }
  const w = word.toLowerCase()
  const all = fields(n)
  const bare = (f: string) => f.slice(f.indexOf('.') + 1)
  const rank = (f: string) => (f.toLowerCase().startsWith(w) || bare(f).toLowerCase().startsWith(w) ? 0 : f.toLowerCase().includes(w) ? 1 : 2)
  const options = all.filter((f) => rank(f) < 2 && f !== word).sort((a, b) => rank(a) - rank(b))
  return { from, options: options.slice(0, most) }
}

/** distance is how many letters have to change to get from a to b (Levenshtein). */
export function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1))
    row = next
  }
  return row[b.length]!
}

/**
 * advise says what is probably wrong with a filter, in words that help: after
 * the server refused it, or when it finds nothing. "" when there is nothing to say.
 */
export function advise(filter: string, n: Names): string {
  const bare = filter.replace(/'[^']*'|"[^"]*"/g, "''")
  if (/==/.test(bare)) return 'Equality is written with one sign: ='
  if (/\bor\b|\|\|/i.test(bare)) return 'Conditions are joined by AND only; ask twice instead of OR.'
  if (/&&/.test(bare)) return 'Write AND instead of &&.'
  if ((filter.match(/'/g)?.length ?? 0) % 2 === 1) return "A text is never closed: a ' is missing."
  const text = /\b(params?|tags?)\.(`[^`]+`|[\w.]+)\s*(=|!=|<=?|>=?|like|ilike)\s*(-?[\d.]+|\w+)\s*(?:$|and\b)/i.exec(bare)
  if (text) return `A ${text[1]!.replace(/s$/, '')} is text: write ${text[1]}.${text[2]} ${text[3]} '${text[4]}'`
  for (const m of bare.matchAll(/\b(metrics?|params?)\.(`([^`]+)`|[\w./-]+)/gi)) {
    const kind = m[1]!.toLowerCase().startsWith('metric') ? 'metrics' : 'params'
    const key = m[3] ?? m[2]!
    const known = n[kind]
    if (known.length === 0 || known.includes(key)) continue
    const other = kind === 'metrics' ? 'params' : 'metrics'
    if (n[other].includes(key)) return `${key} is logged as one of the ${other}: write ${field(other, key)}`
    const near = known.map((k) => ({ k, d: distance(k.toLowerCase(), key.toLowerCase()) })).sort((a, b) => a.d - b.d)[0]!
    if (near.d <= Math.max(2, key.length / 3)) return `No recent run logs ${kind}.${key}; did you mean ${field(kind, near.k)}?`
    return `No recent run logs ${kind}.${key}.`
  }
  const lone = /(?:^|and\s+)([A-Za-z_]\w*)\s*(=|!=|<=?|>=?|like|ilike)/i.exec(bare)
  if (lone && !attributes.includes(lone[1]!)) {
    if (n.metrics.includes(lone[1]!)) return `Say what it is: ${field('metrics', lone[1]!)}`
    if (n.params.includes(lone[1]!)) return `Say what it is: ${field('params', lone[1]!)}`
  }
  return ''
}

/** Tone is what a state means to a reader: the four that have a colour, and none. */
export type Tone = 'good' | 'warn' | 'bad' | 'busy' | 'none'

const tones: Record<Exclude<Tone, 'none'>, string[]> = {
  good: ['sent', 'succeeded', 'finished', 'passed', 'pass', 'active', 'ok', 'champion', 'resolved', 'closed', 'live', 'cleared', 'wins', 'production'],
  warn: ['undecided', 'waiting', 'queued', 'cancelled', 'killed', 'kept_out', 'insufficient reference', 'not enough data', 'ungated', 'warning', 'quarantined', 'half-open', 'waived', 'not_enough', 'insufficient'],
  bad: ['failed', 'refused', 'refuse', 'rolled_back', 'fail', 'error', 'drifted', 'drift', 'firing', 'open', 'tripped', 'low', 'stuck', 'broken', 'loses'],
  busy: ['running', 'shadow', 'canary', 'created', 'registered', 'challenger', 'scheduled', 'pending', 'staging'],
}

/** tone of a state. */
export function tone(state: string): Tone {
  const s = state.toLowerCase()
  for (const [t, states] of Object.entries(tones)) if (states.includes(s)) return t as Tone
  return 'none'
}

// How numbers, times and ids are written: the same everywhere.

const none = '–'

/** integer groups thousands: 336,776. */
export function integer(n: number | null | undefined): string {
  return n == null || !Number.isFinite(n) ? none : Math.round(n).toLocaleString('en-US')
}

/** number keeps `digits` significant digits and no useless zeros. */
export function number(n: number | null | undefined, digits = 4): string {
  if (n == null || Number.isNaN(n)) return none
  if (!Number.isFinite(n)) return n > 0 ? '∞' : '−∞'
  if (n === 0) return '0'
  const size = Math.abs(n)
  if (size >= 1e15 || size < 1e-4) return n.toExponential(Math.max(0, digits - 2)).replace('-', '−')
  if (Number.isInteger(n) || size >= 10 ** digits) return integer(n).replace('-', '−')
  if (size >= 1000) return n.toLocaleString('en-US', { maximumSignificantDigits: digits }).replace('-', '−')
  return String(+n.toPrecision(digits)).replace('-', '−')
}

/** fixed is for columns, where every number has the same decimals. */
export function fixed(n: number | null | undefined, decimals = 3): string {
  return n == null || !Number.isFinite(n) ? none : n.toFixed(decimals).replace('-', '−')
}

/** percent writes a share of one: 0.0123 is 1.2 %. */
export function percent(n: number | null | undefined, decimals = 1): string {
  return n == null || !Number.isFinite(n) ? none : `${(100 * n).toFixed(decimals).replace('-', '−')} %`
}

/** bytes in powers of 1000, as disks are sold. */
export function bytes(n: number | null | undefined): string {
  if (n == null || !Number.isFinite(n)) return none
  let i = 0
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
  for (; Math.abs(n) >= 999.5 && i < units.length - 1; i++) n /= 1000
  return `${i === 0 ? n : +n.toPrecision(3)} ${units[i]}`
}

/** length writes milliseconds as people say them: 340 ms, 2.4 s, 3 min 20 s. */
export function length(ms: number | null | undefined): string {
  if (ms == null || !Number.isFinite(ms)) return none
  if (ms < 0.9995) return `${+(ms * 1000).toPrecision(3)} µs`
  if (ms < 999.5) return `${+ms.toPrecision(3)} ms`
  const s = ms / 1000
  if (s < 59.95) return `${+s.toPrecision(3)} s`
  const units: [number, string][] = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']]
  let left = Math.round(s)
  const parts: string[] = []
  for (const [size, unit] of units) {
    const n = Math.floor(left / size)
    left -= n * size
    if (n > 0 && parts.length < 2) parts.push(`${n} ${unit}`)
    else if (parts.length) break
  }
  return parts.join(' ')
}

/** known reports whether Go sent a time that means something. */
export function known(iso: string | null | undefined): iso is string {
  return !!iso && !iso.startsWith('0001-01-01') && !iso.startsWith('1970-01-01T00:00:00Z')
}

/** millis is a time in milliseconds since 1970, NaN when unknown. */
export function millis(iso: string | null | undefined): number {
  return known(iso) ? Date.parse(iso) : NaN
}

/** ago is a time seen from now: 5 min ago, in 2 d. */
export function ago(iso: string | null | undefined, now = Date.now()): string {
  if (!known(iso)) return none
  const s = (now - Date.parse(iso)) / 1000
  const size = Math.abs(s)
  if (size < 5) return 'now'
  const steps: [number, number, string][] = [
    [60, 1, 's'], [3600, 60, 'min'], [86400, 3600, 'h'], [86400 * 60, 86400, 'd'], [86400 * 730, 86400 * 30.44, 'months'],
  ]
  const [, unit, name] = steps.find(([limit]) => size < limit) ?? [0, 86400 * 365.25, 'years']
  const text = `${Math.max(1, Math.floor(size / unit))} ${name}`
  return s < 0 ? `in ${text}` : `${text} ago`
}

/** exact is a time to the second, in UTC. */
export function exact(iso: string | null | undefined): string {
  return known(iso) ? new Date(iso).toISOString().replace('T', ' ').replace(/(\.\d+)?Z$/, ' UTC') : none
}

/** day is 2013-09-10. */
export function day(iso: string | null | undefined): string {
  return known(iso) ? new Date(iso).toISOString().slice(0, 10) : none
}

/** minute is 2013-09-10 14:00. */
export function minute(iso: string | null | undefined): string {
  return known(iso) ? new Date(iso).toISOString().slice(0, 16).replace('T', ' ') : none
}

/** short shortens an id or a digest; what people named stays whole. */
export function short(id: string): string {
  const bare = id.replace(/^sha256:/, '')
  return /^[0-9a-f]{16,}$/.test(bare) ? bare.slice(0, 8) : id
}

/** plural writes 1 row, 2 rows. */
export function plural(n: number, one: string, many = one + 's'): string {
  return `${integer(n)} ${n === 1 ? one : many}`
}

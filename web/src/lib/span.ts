/** Span is some rows of a long list: from the first to before the last. */
export interface Span {
  first: number
  last: number
}

/** visible is which of total rows a box shows that is scrolled to `top`, with `over` more above and below. */
export function visible(top: number, height: number, row: number, total: number, over = 12): Span {
  const first = Math.max(0, Math.min(total, Math.floor(top / row) - over))
  return { first, last: Math.min(total, Math.ceil((top + height) / row) + over) }
}

/** parts are the numbers of the pages of `size` rows that hold a span. */
export function parts(s: Span, size: number): number[] {
  if (s.last <= s.first) return []
  const from = Math.floor(s.first / size)
  return Array.from({ length: Math.floor((s.last - 1) / size) - from + 1 }, (_, i) => from + i)
}

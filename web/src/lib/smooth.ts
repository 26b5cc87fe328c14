/**
 * smooth is the exponential moving average of a curve, corrected for its start
 * as Adam corrects its moments, so that the first values are not drawn to zero.
 * weight 0 changes nothing, 0.99 follows very slowly. Gaps stay gaps.
 */
export function smooth(values: (number | null)[], weight: number): (number | null)[] {
  if (!(weight > 0)) return values
  let sum = 0
  let share = 0
  return values.map((v) => {
    if (v === null || !Number.isFinite(v)) return v
    sum = weight * sum + (1 - weight) * v
    share = weight * share + (1 - weight)
    return sum / share
  })
}

/** What each rule is worth: how much more the law loses without it (objective.ts). */
import type { Loss, PartLoss } from '../objective.ts'

export interface AblationRow {
  name: string
  without: string
  more: Loss
  /** What each part of the objective contributes, the largest first. */
  parts: PartLoss[]
  /** It could not be switched off: why. */
  stale?: string
}

export interface AblationReport {
  seeds: number
  /** Of the law as it is. */
  loss: Loss
  rows: AblationRow[]
}

/** Whether the law is worse without it, beyond chance. */
export const isWorth = ({ more }: AblationRow) => more.mean > more.halfWidth

/** What was measured before, with these rows renewed; `names` are the rules that there are. */
export function merged(
  before: AblationReport | undefined,
  now: AblationReport,
  names: readonly string[],
): AblationReport {
  const rows = names.flatMap((name) => {
    const row = [...now.rows, ...(before?.rows ?? [])].find((one) => one.name === name)
    return row ? [row] : []
  })
  return { ...now, rows }
}

/** Below this a part is not told. */
const LEAST = 0.01

const signed = (value: number) => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`

/** `+0.84 ± 0.12`. */
export const moreText = ({ mean, halfWidth }: Loss) => `${signed(mean)} ± ${halfWidth.toFixed(2)}`

/** `growth +0.61, strict +0.20`: the parts that get worse, or (`sign` −1) better. */
export function partsText({ parts }: AblationRow, sign: 1 | -1): string {
  return parts
    .filter(({ mean, halfWidth }) => sign * mean > Math.max(LEAST, halfWidth))
    .map(({ name, mean }) => `${name} ${signed(mean)}`)
    .join(', ')
}

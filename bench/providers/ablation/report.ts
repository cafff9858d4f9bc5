/** The value of each rule: how much the loss grows without it (objective.ts). */
import type { Loss, PartLoss } from '../objective.ts'

export interface AblationRow {
  name: string
  without: string
  more: Loss
  /** The contribution of each part of the objective, largest first. */
  parts: PartLoss[]
  /** Why it could not be switched off, if so. */
  stale?: string
}

export interface AblationReport {
  seeds: number
  /** The loss of the complete law. */
  loss: Loss
  rows: AblationRow[]
}

/** Whether the law is significantly worse without it. */
export const isWorth = ({ more }: AblationRow) => more.mean > more.halfWidth

/** Earlier results with these rows updated. `names` are the current rules. */
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

/** Smaller contributions are not printed. */
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

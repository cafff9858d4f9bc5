// The TypeScript blocks of a Markdown file, as they are checked and run. A reader sees the block; comments of
// HTML right before it say what else belongs to it:
//
//   <!-- run -->        it is also run; what its lines `console.log(…) // text` print must be that text
//   <!-- continues -->  it goes on where the TypeScript block before it stopped
//   <!-- given …code… -->  lines that stand before it, and that would only distract a reader

export interface Block {
  /** `README.md:12`, the line of its first line of code. */
  readonly where: string
  /** The line of the file on which the first line of `code` would stand, were all of it written there. */
  readonly firstLine: number
  readonly code: string
  /** How many lines of `code` precede the block's own. */
  readonly before: number
  readonly run: boolean
}

const FENCE = /^( *)(`{3,})(.*)$/
const COMMENT = /<!--((?:(?!<!--|-->)[^])*)-->\s*$/

export function blocksOf(file: string, text: string): Block[] {
  const blocks: Block[] = []
  const lines = text.split('\n')
  let prose = 0
  let last = ''
  let heard = 0
  for (let at = 0; at < lines.length; at++) {
    const fence = FENCE.exec(lines[at]!)
    if (!fence) continue
    const [, indent, ticks, info] = fence as unknown as [string, string, string, string]
    const end = lines.findIndex((line, i) => i > at && line.trim() === ticks)
    if (end < 0) throw new Error(`${file}:${at + 1}: this block is never closed`)
    const [language, ...flags] = info.trim().split(/\s+/) as [string, ...string[]]
    if (/^(ts|typescript|tsx|mts|cts)$/.test(language)) {
      if (info.trim() !== 'ts') {
        throw new Error(
          `${file}:${at + 1}: a TypeScript block is marked \`ts\` and nothing more, got \`${[language, ...flags].join(' ')}\``,
        )
      }
      const { given, continues, run } = wordsBefore(lines.slice(prose, at).join('\n'), `${file}:${at + 1}`)
      heard += Number(given !== '') + Number(continues) + Number(run)
      if (continues && !last)
        throw new Error(`${file}:${at + 1}: there is no block before this one to continue`)
      const own = lines
        .slice(at + 1, end)
        .map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line))
      const before = [...(continues ? [last] : []), ...(given ? [given] : [])].join('\n')
      const code = [...(before ? [before] : []), ...own].join('\n')
      const length = before ? before.split('\n').length : 0
      blocks.push({ where: `${file}:${at + 2}`, firstLine: at + 2 - length, code, before: length, run })
      last = code
    }
    at = end
    prose = end + 1
  }
  const said = text.match(/^ *<!--\s*(run|continues|given)\b/gm)?.length ?? 0
  if (said !== heard)
    throw new Error(`${file}: a comment for a TypeScript block does not stand right before one`)
  return blocks
}

/** The HTML comments right before a block, with only white space between. */
function wordsBefore(prose: string, where: string) {
  const words = { given: '', continues: false, run: false }
  for (let found = COMMENT.exec(prose); found; found = COMMENT.exec(prose)) {
    const text = found[1]!.trim()
    if (text === 'run' || text === 'continues') words[text] = true
    else if (/^given\s/.test(text)) words.given = text.slice('given'.length).trim()
    else if (/^(run|given|continues|no-?check)\b/i.test(text))
      throw new Error(`${where}: unknown comment <!-- ${text} -->`)
    prose = prose.slice(0, found.index)
  }
  return words
}

/** What the block says it prints: the comments after its own `console.log(…)`. */
export function printed({ code, before }: Block): string[] {
  const own = code.split('\n').slice(before)
  return own.flatMap((line) => /\bconsole\.log\(.*\)\s*\/\/\s*(.+)$/.exec(line)?.[1]?.trim() ?? [])
}

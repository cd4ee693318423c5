/** A line of a block mapping or sequence: its indentation, and the key or the dash that it begins with. */
interface Entry {
  readonly line: number
  readonly indent: number
  readonly key: string | undefined
}

const mapping =
  /^(\s*)(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)'|([^\s#"'[\]{},&*!|>%@`-][^#]*?|-[^\s#][^#]*?))\s*:(?:\s|$)/
const item = /^(\s*)-(?:\s+|$)/

/** The entries of a document, in order. An item with a mapping on its line is an item, and then the mapping's first key. */
const entriesOf = (text: string): ReadonlyArray<Entry> =>
  text.split(/\r?\n/).flatMap((content, index) => {
    const entries: Array<Entry> = []
    let rest = content
    for (let dash = item.exec(rest); dash !== null; dash = item.exec(rest)) {
      entries.push({ line: index + 1, indent: dash[1]!.length, key: undefined })
      rest = " ".repeat(dash[0].length) + rest.slice(dash[0].length)
    }
    const found = mapping.exec(rest)
    const key = found?.[2] ?? found?.[3] ?? found?.[4]
    return key === undefined ? entries : [...entries, { line: index + 1, indent: found![1]!.length, key: key.trim() }]
  })

/**
 * The line of a value in YAML text by its path; `undefined` if not even the first segment is found.
 *
 * It reads block style, as configuration is written. For a value in a flow collection, or one that an alias refers to, this
 * is the line of the nearest enclosing key.
 */
export const yamlLine = (text: string, path: ReadonlyArray<string>): number | undefined => {
  const entries = entriesOf(text)
  let line: number | undefined
  let from = 0
  let outer = -1
  for (const segment of path) {
    const end = entries.findIndex(({ indent, key }, index) =>
      index >= from && (indent < outer || (indent === outer && key !== undefined))
    )
    const inside = entries.slice(from, end === -1 ? undefined : end).filter(({ indent }) => indent >= outer)
    const indent = Math.min(
      ...inside.filter((entry) => entry.indent > outer || entry.key === undefined).map((entry) => entry.indent)
    )
    const siblings = inside.filter((entry) => entry.indent === indent)
    const dashes = siblings.filter(({ key }) => key === undefined)
    const found = /^\d+$/.test(segment) && dashes.length > 0
      ? dashes[Number(segment)]
      : siblings.find(({ key }) => key === segment)
    if (found === undefined) return line
    line = found.line
    from = entries.indexOf(found) + 1
    outer = found.indent
  }
  return line
}

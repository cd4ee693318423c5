import { type Document, isAlias, isMap, isNode, isScalar, isSeq, type LineCounter, type Node } from "yaml"

/** A place in a text, from 1. */
export interface Place {
  readonly line: number
  readonly column: number
}

/** Whether a path is a name, or begins with it as its first part. Names may have dots. */
const begins = (path: string, name: string): boolean => path === name || path.startsWith(`${name}.`)

/** The place of the value at a path with dots; that of the nearest enclosing one if it is not there. */
export const placeOf = (document: Document, lines: LineCounter, path: string): Place | undefined => {
  let node: Node | null | undefined = document.contents
  let offset: number | undefined
  let rest = path
  while (rest !== "" && node !== null && node !== undefined) {
    if (isAlias(node)) node = node.resolve(document)
    let name: string | undefined
    let next: unknown
    if (isMap(node)) {
      const pairs = node.items.filter(({ key }) => isScalar(key) && begins(rest, String(key.value)))
      // The longest name, since `a.b` may be a name beside `a`.
      const pair = pairs.toSorted((a, b) => String(b.key).length - String(a.key).length)[0]
      if (pair === undefined || !isScalar(pair.key)) break
      name = String(pair.key.value)
      offset = pair.key.range?.[0]
      next = pair.value
    } else if (isSeq(node)) {
      name = rest.split(".", 1)[0] ?? ""
      next = node.items[Number(name)]
      if (next === undefined) break
      offset = isNode(next) ? next.range?.[0] : undefined
    } else break
    rest = rest.slice(name.length + 1)
    node = isNode(next) ? next : undefined
  }
  if (offset === undefined) return undefined
  const { col, line } = lines.linePos(offset)
  return { line, column: col }
}

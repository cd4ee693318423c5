/** A member that an object of a JSON text has twice. */
export interface Repeated {
  readonly path: ReadonlyArray<string>
  /** From 1. */
  readonly line: number
}

const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g

interface Level {
  /** The names of an object so far; `undefined` in an array. */
  readonly names: Set<string> | undefined
  /** The member or index that is being read. */
  at: string
  index: number
}

/** The first member that occurs twice in one object of a valid JSON text. `JSON.parse` keeps the last one silently. */
export const repeatedMember = (text: string): Repeated | undefined => {
  const levels: Array<Level> = []
  let isName = false
  for (const { 0: found, index } of text.matchAll(token)) {
    const level = levels.at(-1)
    switch (found) {
      case "{":
      case "[":
        levels.push({ names: found === "{" ? new Set() : undefined, at: "0", index: 0 })
        isName = found === "{"
        break
      case "}":
      case "]":
        levels.pop()
        isName = false
        break
      case ",":
        isName = level?.names !== undefined
        if (level !== undefined && !isName) level.at = String(++level.index)
        break
      case ":":
        isName = false
        break
      default: {
        if (!isName || level?.names === undefined) break
        const name: string = JSON.parse(found)
        level.at = name
        if (level.names.has(name)) {
          return { path: levels.map(({ at }) => at), line: text.slice(0, index).split("\n").length }
        }
        level.names.add(name)
      }
    }
  }
  return undefined
}

/** The bytes of a range, both ends included. */
export interface ByteRange {
  readonly from: number
  readonly to: number
}

/** One range of bytes (RFC 9110, 14.1.1 and 14.1.2). */
const single = /^bytes[\t ]*=[\t ,]*(\d*)-(\d*)[\t ,]*$/i

/**
 * The bytes that `Range` asks for of a body; `unsatisfiable` if it has none of them, and `undefined` if the header is to be ignored:
 * another unit, a malformed range, or more ranges than one.
 */
export const byteRange = (header: string, size: number): ByteRange | "unsatisfiable" | undefined => {
  const [, first = "", last = ""] = single.exec(header) ?? []
  if (first === "") {
    if (last === "") return undefined
    const count = Math.min(Number(last), size)
    return count === 0 ? "unsatisfiable" : { from: size - count, to: size - 1 }
  }
  const from = Number(first)
  if (last !== "" && isBefore(last, first)) return undefined
  return from >= size ? "unsatisfiable" : { from, to: last === "" ? size - 1 : Math.min(Number(last), size - 1) }
}

/** Compares whole numbers of any length, which `Number` would round. */
const isBefore = (a: string, b: string): boolean => {
  const [left, right] = [a.replace(/^0+/, ""), b.replace(/^0+/, "")]
  return left.length === right.length ? left < right : left.length < right.length
}

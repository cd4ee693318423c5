import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as TokenError from "../../TokenError.ts"

/** Upper bounds of a JSON object. */
export interface JsonLimits {
  /** Levels of nesting; the object itself is the first. */
  readonly maxDepth: number
  /** Members of all objects together. Elements of arrays are bounded by the size of the token alone. */
  readonly maxMembers: number
}

/** A JSON object. Its prototype has members too: read members with `own`. */
export type JsonObject = Readonly<Record<string, unknown>>

/** An own member of an object; `undefined` for an inherited one. */
export const own = (object: JsonObject, name: string): unknown => Object.hasOwn(object, name) ? object[name] : undefined

/** Keeps a leading byte order mark, which `JSON.parse` then rejects (RFC 8259, 8.1). */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const quote = 0x22
const backslash = 0x5C
const colon = 0x3A
const openBracket = 0x5B
const closeBracket = 0x5D
const openBrace = 0x7B
const closeBrace = 0x7D

/** Whether a quote is escaped: preceded by an odd number of backslashes. */
const isEscaped = (text: string, at: number): boolean => {
  let first = at
  while (text.charCodeAt(first - 1) === backslash) first--
  return (at - first) % 2 === 1
}

/** The index of the quote that closes a string; the end of the text for an unterminated string. */
const endOfString = (text: string, open: number): number => {
  let close = text.indexOf("\"", open + 1)
  while (close !== -1 && isEscaped(text, close)) close = text.indexOf("\"", close + 1)
  return close === -1 ? text.length : close
}

/**
 * Counts the members written in a text that may be JSON: the colons outside of strings. Fails where a limit is exceeded,
 * before the text is parsed: parsing thousands of levels costs as much as many signature checks.
 */
const countWrittenMembers = (
  text: string,
  { maxDepth, maxMembers }: JsonLimits
): Result.Result<number, TokenError.Problem> => {
  let count = 0
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === quote) at = endOfString(text, at)
    else if (char === colon) {
      if (++count > maxMembers) return Result.fail("members")
    } else if (char === openBrace || char === openBracket) {
      if (++depth > maxDepth) return Result.fail("depth")
    } else if (char === closeBrace || char === closeBracket) depth--
  }
  return Result.succeed(count)
}

/** Totals of a parsed tree. */
interface Totals {
  members: number
  /** Estimated bytes in memory, without the characters of its text. */
  bytes: number
}

/**
 * Measured bytes, including the copy that a claims schema makes: of an object or array, of each member and each element,
 * and of a string without its characters. Members take the most where their names occur in no other token.
 */
const containerBytes = 64
const memberBytes = 112
const elementBytes = 32
const stringBytes = 32

/** Adds up the members and bytes of a tree that is within the limits. */
const addTotals = (node: object, totals: Totals): TokenError.Problem | undefined => {
  const children: ReadonlyArray<unknown> = Object.values(node)
  const isArray = Array.isArray(node)
  if (!isArray) totals.members += children.length
  totals.bytes += containerBytes + (isArray ? elementBytes : memberBytes) * children.length
  for (const child of children) {
    if (typeof child === "string") totals.bytes += stringBytes
    else if (typeof child === "number") {
      if (!Number.isFinite(child)) return "number"
    } else if (typeof child === "object" && child !== null) {
      const problem = addTotals(child, totals)
      if (problem !== undefined) return problem
    }
  }
  return undefined
}

/** An unpaired surrogate can only come from an escape: UTF-8 has none. */
const surrogateEscape = /\\u[dD][89a-fA-F]/

/** Whether all strings and names of a tree are well-formed Unicode: in UTF-8, unpaired surrogates are all alike (RFC 7493, 2.1). */
const isWellFormed = (node: unknown): boolean => {
  if (typeof node === "string") return node.isWellFormed()
  if (typeof node !== "object" || node === null) return true
  return Object.entries(node).every(([name, child]) => name.isWellFormed() && isWellFormed(child))
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** An object, and its estimated bytes in memory. */
export interface Json {
  readonly object: JsonObject
  readonly bytes: number
}

/**
 * Parses UTF-8 bytes as one JSON object, within limits, without duplicate members, with finite numbers and well-formed
 * strings.
 *
 * `JSON.parse` keeps the last of two members with the same name, where other parsers keep the first. Therefore the object
 * must have as many members as were written: a duplicate lowers the number of members, even if its name was escaped differently.
 *
 * @see RFC 7515, 4; RFC 7519, 4; RFC 8725, 2.4
 */
export const parseObject = (bytes: Uint8Array, limits: JsonLimits): Result.Result<Json, TokenError.Problem> => {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return Result.fail("encoding")
  }
  const written = countWrittenMembers(text, limits)
  if (Result.isFailure(written)) return Result.fail(written.failure)
  const tree = parse(text)
  if (!Predicate.isObject(tree)) return Result.fail("json")
  const totals: Totals = { members: 0, bytes: 0 }
  const problem = addTotals(tree, totals)
  if (problem !== undefined) return Result.fail(problem)
  if (surrogateEscape.test(text) && !isWellFormed(tree)) return Result.fail("encoding")
  if (totals.members !== written.success) return Result.fail("duplicate")
  // A string with any character beyond ASCII may take two bytes for each of its characters.
  const width = text.length === bytes.length ? 1 : 2
  return Result.succeed({ object: tree, bytes: totals.bytes + width * text.length })
}

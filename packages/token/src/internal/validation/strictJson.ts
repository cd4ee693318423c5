import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { Problem } from "../../TokenError.ts"

/** What a JSON object may have at most. */
export interface JsonLimits {
  /** Levels, the object itself being the first. */
  readonly maxDepth: number
  /** Members of all objects together. Elements of lists are bounded by the size of the token alone. */
  readonly maxMembers: number
}

/** An object as JSON has it. Its prototype's members are none of its own: ask with `Object.hasOwn`, or read by `own`. */
export type JsonObject = Readonly<Record<string, unknown>>

/** A member of an object itself; `undefined` for what it would inherit. */
export const own = (object: JsonObject, name: string): unknown => Object.hasOwn(object, name) ? object[name] : undefined

/** A leading byte order mark is kept, so that it is refused: it is no JSON (RFC 8259, 8.1). */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const quote = 0x22
const backslash = 0x5C
const colon = 0x3A
const openBracket = 0x5B
const closeBracket = 0x5D
const openBrace = 0x7B
const closeBrace = 0x7D

/** Whether a quote belongs to the string that it stands in: an odd number of backslashes is before it. */
const isEscaped = (text: string, at: number): boolean => {
  let first = at
  while (text.charCodeAt(first - 1) === backslash) first--
  return (at - first) % 2 === 1
}

/** Where a string ends whose opening quote is at a place; the end of the text for one that does not. */
const endOfString = (text: string, open: number): number => {
  let close = text.indexOf("\"", open + 1)
  while (close !== -1 && isEscaped(text, close)) close = text.indexOf("\"", close + 1)
  return close === -1 ? text.length : close
}

/**
 * How many members are written in a text that may be JSON: the colons outside of strings. Or what is too much in it, which
 * is known before a tree is made: making one of thousands of levels costs as much as many signature checks.
 */
const writtenMembers = (text: string, { maxDepth, maxMembers }: JsonLimits): Result.Result<number, Problem> => {
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

/** What was counted of a tree. */
interface Count {
  members: number
  /** Bytes in memory beside those of its text, as estimated. */
  bytes: number
}

/**
 * Measured, with the copy that a claims schema makes: what an object or list takes, each member and each element of them,
 * and a string beside its characters. Members take most where their names are found in no other token.
 */
const containerBytes = 64
const memberBytes = 112
const elementBytes = 32
const stringBytes = 32

/** Walks a tree that is within the limits. */
const measure = (node: object, count: Count): Problem | undefined => {
  const children: ReadonlyArray<unknown> = Object.values(node)
  const isList = Array.isArray(node)
  if (!isList) count.members += children.length
  count.bytes += containerBytes + (isList ? elementBytes : memberBytes) * children.length
  for (const child of children) {
    if (typeof child === "string") count.bytes += stringBytes
    else if (typeof child === "number") {
      if (!Number.isFinite(child)) return "number"
    } else if (typeof child === "object" && child !== null) {
      const problem = measure(child, count)
      if (problem !== undefined) return problem
    }
  }
  return undefined
}

/** Half a surrogate pair comes of an escape alone: UTF-8 has none. */
const surrogateEscape = /\\u[dD][89a-fA-F]/

/** Whether all texts of a tree, names too, are Unicode: as UTF-8, halves of surrogate pairs are all one (RFC 7493, 2.1). */
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

/** An object, and about how many bytes it takes in memory. */
export interface Json {
  readonly object: JsonObject
  readonly bytes: number
}

/**
 * One JSON object of UTF-8 bytes, within limits, no member twice, all of its numbers finite and its texts Unicode.
 *
 * `JSON.parse` keeps the last of two members with one name, where others keep the first. So as many members have to be in
 * the object as were written: two that became one are missing, however they were spelt.
 *
 * @see RFC 7515, 4; RFC 7519, 4; RFC 8725, 2.4
 */
export const parseObject = (bytes: Uint8Array, limits: JsonLimits): Result.Result<Json, Problem> => {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return Result.fail("encoding")
  }
  const written = writtenMembers(text, limits)
  if (Result.isFailure(written)) return Result.fail(written.failure)
  const tree = parse(text)
  if (!Predicate.isObject(tree)) return Result.fail("json")
  const count: Count = { members: 0, bytes: 0 }
  const problem = measure(tree, count)
  if (problem !== undefined) return Result.fail(problem)
  if (surrogateEscape.test(text) && !isWellFormed(tree)) return Result.fail("encoding")
  if (count.members !== written.success) return Result.fail("duplicate")
  // Characters beyond ASCII take two bytes each, and so may those beside them.
  const width = text.length === bytes.length ? 1 : 2
  return Result.succeed({ object: tree, bytes: count.bytes + width * text.length })
}

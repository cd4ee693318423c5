import * as Redactable from "effect/Redactable"
import * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import { redactHeaders } from "./headers.ts"
import { REDACTED, TRUNCATED } from "./limits.ts"
import { isPlaceholder, sensitivity } from "./sensitivity.ts"
import { isOpaque } from "./shape.ts"
import { redactText } from "./text.ts"
import { redactUrl } from "./url.ts"

const maxDepth = 8
const maxMembers = 256
const maxName = 256
const maxString = 8_192
const maxTotal = 65_536

const unreadable = "[UNREADABLE]"
const circular = "[CIRCULAR]"

/** `left`: how many characters may still be written. `ancestors`: the objects that contain the one being copied. */
interface Walk {
  left: number
  readonly ancestors: Set<object>
}

const string = (value: string, walk: Walk): string => {
  if (walk.left <= 0) return TRUNCATED
  const text = redactText(value, Math.min(maxString, Math.max(walk.left, TRUNCATED.length)))
  walk.left -= text.length
  return text
}

/** The replacement of a member with the name of a secret; `undefined` if its name or value shows that it is no secret. */
const hidden = (name: string, copy: Schema.Json, keySet: boolean): string | undefined => {
  const kind = sensitivity(name)
  if (kind === undefined || copy === null || typeof copy === "boolean") return undefined
  if (typeof copy === "string" && (copy === "" || isPlaceholder(copy))) return undefined
  if (kind === "weak") return typeof copy === "string" && isOpaque(copy) ? REDACTED : undefined
  if (kind === "count") return typeof copy === "number" ? undefined : REDACTED
  if (kind !== "jwk") return REDACTED
  return keySet || (typeof copy === "string" && /^[\w-]{16,}={0,2}$/.test(copy)) ? REDACTED : undefined
}

const define = (target: object, name: string, value: Schema.Json): void => {
  Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true })
}

const member = (source: object, key: string, depth: number, walk: Walk): Schema.Json | undefined => {
  try {
    const value: unknown = Reflect.get(source, key)
    return value === undefined ? undefined : visit(value, depth + 1, walk)
  } catch {
    return unreadable
  }
}

/** Redacts by name, also the `value` next to a `name`, as in lists of headers and parameters. */
const hide = (copy: Record<string, Schema.Json>): void => {
  const keySet = Object.hasOwn(copy, "kty")
  const named = Object.hasOwn(copy, "name") ? copy["name"] : undefined
  for (const [key, value] of Object.entries(copy)) {
    const other = key === "value" && typeof named === "string" ? hidden(named, value, false) : undefined
    const mark = hidden(key, value, keySet) ?? other
    if (mark !== undefined) define(copy, key, mark)
  }
}

const members = (source: object, depth: number, walk: Walk): Record<string, Schema.Json> => {
  const out: Record<string, Schema.Json> = {}
  const keys = Object.keys(source)
  for (const key of keys.slice(0, maxMembers)) {
    if (walk.left <= 0) break
    const copy = member(source, key, depth, walk)
    if (copy === undefined) continue
    walk.left -= 8
    define(out, redactText(key, maxName), copy)
  }
  hide(out)
  if (keys.length > maxMembers || walk.left <= 0) define(out, TRUNCATED, TRUNCATED)
  return out
}

/** Redacts a pair, as in a `Map`, form parameters or raw headers: the first element may be the name of a secret. */
const list = (values: Iterable<unknown>, depth: number, walk: Walk): Schema.Json => {
  const out: Array<Schema.Json> = []
  for (const value of values) {
    if (out.length === maxMembers || walk.left <= 0) {
      out.push(TRUNCATED)
      break
    }
    walk.left -= 4
    out.push(visit(value, depth + 1, walk))
  }
  const [name, value = null] = out
  const mark = out.length === 2 && typeof name === "string" ? hidden(name, value, false) : undefined
  return mark === undefined ? out : [name!, mark]
}

/** The JSON of values with their own form; `undefined` for plain objects. */
const known = (source: object, depth: number, walk: Walk): Schema.Json | undefined => {
  if (Redacted.isRedacted(source)) return "<redacted>"
  if (Redactable.isRedactable(source)) return visit(Redactable.redact(source), depth + 1, walk)
  if (source instanceof Error) {
    const { message, name }: { readonly message: unknown; readonly name: unknown } = source
    return { name: string(String(name), walk), message: string(String(message), walk) }
  }
  if (source instanceof Date) return Number.isNaN(source.getTime()) ? "Invalid Date" : source.toISOString()
  if (source instanceof URL) return string(redactUrl(source), walk)
  if (source instanceof URLSearchParams) return string(redactUrl(`/?${source}`).slice(1), walk)
  if (source instanceof Headers) return redactHeaders(source)
  if (source instanceof Map) return list(Map.prototype.entries.call(source), depth, walk)
  if (source instanceof Set) return list(Set.prototype.values.call(source), depth, walk)
  if (ArrayBuffer.isView(source) || source instanceof ArrayBuffer) return `<${source.byteLength} bytes>`
  if (source instanceof RegExp) return string(String(source), walk)
  if (/^\[object (?:String|Number|Boolean|BigInt|Symbol)\]$/.test(Object.prototype.toString.call(source))) {
    return visit(source.valueOf(), depth, walk)
  }
  return Array.isArray(source) ? list(source, depth, walk) : undefined
}

const object = (source: object, depth: number, walk: Walk): Schema.Json => {
  if (walk.ancestors.has(source)) return circular
  if (depth > maxDepth) return TRUNCATED
  walk.ancestors.add(source)
  try {
    const form = known(source, depth, walk)
    if (form !== undefined) return form
    const toJSON: unknown = "toJSON" in source ? source.toJSON : undefined
    const json: unknown = typeof toJSON === "function" ? toJSON.call(source) : source
    return json === source ? members(source, depth, walk) : visit(json, depth + 1, walk)
  } catch {
    return unreadable
  } finally {
    walk.ancestors.delete(source)
  }
}

const visit = (value: unknown, depth: number, walk: Walk): Schema.Json => {
  switch (typeof value) {
    case "string":
      return string(value, walk)
    case "boolean":
      return value
    case "number":
      return Number.isFinite(value) ? value : String(value)
    case "bigint":
      return string(String(value), walk)
    case "symbol":
      return string(String(value), walk)
    case "function":
      return "[FUNCTION]"
    case "object":
      return value === null ? null : object(value, depth, walk)
    case "undefined":
      return null
  }
}

const start = (): Walk => ({ left: maxTotal, ancestors: new Set() })

/** A copy of any value as redacted JSON of bounded size. */
export const redactValue = (value: unknown): Schema.Json => visit(value, 0, start())

/** A redacted copy of the members of a plain object. */
export const redactMembers = (source: Readonly<Record<string, unknown>>): Readonly<Record<string, Schema.Json>> =>
  members(source, 0, start())

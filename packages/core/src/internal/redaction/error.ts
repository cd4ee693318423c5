import { redactValue } from "./json.ts"
import { maxLength } from "./limits.ts"
import { redactText } from "./text.ts"

const maxDepth = 8
const maxErrors = 64
const maxFrames = 64
const maxName = 128

/** `ancestors`: the errors that contain the one being copied, to stop at a cycle. `left`: how many more errors may be copied. */
interface Walk {
  left: number
  readonly ancestors: Set<object>
}

const read = (source: object, name: string): unknown => {
  try {
    return Reflect.get(source, name)
  } catch {
    return undefined
  }
}

const isFrame = (line: string): boolean =>
  /^\s{0,32}at /.test(line) || (/^[^\s@]{0,256}@/.test(line) && /:\d{1,9}:\d{1,9}$/.test(line))

/** The frames of a stack. The message is removed first, since its lines may look like frames. */
const frames = (stack: unknown, message: string): string => {
  if (typeof stack !== "string") return ""
  const start = message === "" ? -1 : stack.indexOf(message)
  const rest = start === -1 ? stack : stack.slice(start + message.length)
  const lines = rest.slice(0, maxLength).split("\n").filter(isFrame).slice(0, maxFrames)
  return lines.length === 0 ? "" : `\n${redactText(lines.join("\n"))}`
}

const define = (target: object, name: string, value: unknown): void => {
  Object.defineProperty(target, name, { value, enumerable: false, configurable: true, writable: true })
}

const isError = (value: unknown): boolean => {
  try {
    return value instanceof Error
  } catch {
    return false
  }
}

const messageOf = (source: unknown): string => {
  if (typeof source === "string") return source
  if (typeof source !== "object" || source === null) return JSON.stringify(redactValue(source))
  const message = read(source, "message")
  if (typeof message === "string") return message
  return isError(source) ? "" : JSON.stringify(redactValue(source))
}

const causeOf = (source: object, depth: number, walk: Walk): Error | undefined => {
  const cause = read(source, "cause")
  return cause === undefined || cause === null ? undefined : view(cause, depth + 1, walk)
}

const errorsOf = (source: object, depth: number, walk: Walk): ReadonlyArray<Error> | undefined => {
  const errors = read(source, "errors")
  if (!isError(source) || !Array.isArray(errors)) return undefined
  return errors.slice(0, maxErrors).flatMap((error: unknown) => view(error, depth + 1, walk) ?? [])
}

const view = (source: unknown, depth: number, walk: Walk): Error | undefined => {
  if (depth > maxDepth || walk.left <= 0) return undefined
  walk.left--
  const raw = messageOf(source)
  const message = redactText(raw)
  if (typeof source !== "object" || source === null) return bare("Error", message, "")
  if (walk.ancestors.has(source)) return undefined
  const name = read(source, "name")
  const shown = typeof name === "string" ? redactText(name, maxName) : "Error"
  const result = bare(shown, message, frames(read(source, "stack"), raw))
  walk.ancestors.add(source)
  const cause = causeOf(source, depth, walk)
  const errors = errorsOf(source, depth, walk)
  walk.ancestors.delete(source)
  if (cause !== undefined) define(result, "cause", cause)
  if (errors !== undefined) define(result, "errors", errors)
  return result
}

const bare = (name: string, message: string, stack: string): Error => {
  const error = new Error(message)
  define(error, "name", name)
  define(error, "stack", `${name}${message === "" ? "" : `: ${message}`}${stack}`)
  return error
}

/** A redacted copy of an error or any thrown value. It holds no reference to the original. */
export const redactError = (source: unknown): Error => {
  try {
    return view(source, 0, { left: maxErrors, ancestors: new Set() }) ?? bare("Error", "[CIRCULAR]", "")
  } catch {
    return bare("Error", "[UNREADABLE]", "")
  }
}

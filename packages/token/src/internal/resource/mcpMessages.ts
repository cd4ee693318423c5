import * as McpServer from "effect/ai/McpServer"
import * as Predicate from "effect/Predicate"

/**
 * The headers that mirror members of the body (MCP 2026-07-28, Streamable HTTP, "Standard Request Headers"). `undefined` where
 * the request lacks one; `malformed` for a name that cannot be decoded.
 */
export interface MirroredHeaders {
  readonly method: string | undefined
  readonly name: string | undefined
  readonly isMalformed: boolean
}

/** Reads the headers that mirror the body. */
export const mirroredHeaders = (headers: Readonly<Record<string, string | undefined>>): MirroredHeaders => {
  const { "mcp-method": method, "mcp-name": raw } = headers
  const name = raw === undefined ? undefined : McpServer.decodeNameHeader(raw)
  return { method, name, isMalformed: raw !== undefined && name === undefined }
}

/** The member of `params` that `Mcp-Name` mirrors, by the method. */
const namedMember: ReadonlyMap<string, string> = new Map([
  ["tools/call", "name"],
  ["prompts/get", "name"],
  ["resources/read", "uri"]
])

const memberOf = (value: unknown, name: string): unknown =>
  Predicate.isObject(value) && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined

const textOf = (value: unknown): string | undefined => typeof value === "string" ? value : undefined

const methodOf = (message: unknown): string | undefined => textOf(memberOf(message, "method"))

const nameOf = (message: unknown): string | undefined => {
  const member = namedMember.get(methodOf(message) ?? "")
  return member === undefined ? undefined : textOf(memberOf(memberOf(message, "params"), member))
}

/** A body that was read. `messages` is empty for one that is not JSON, which the server answers. */
export interface McpBody {
  readonly messages: ReadonlyArray<unknown>
  readonly isBatch: boolean
}

/** Reads the messages of a body, as the server does. */
export const readMessages = (text: string): McpBody => {
  try {
    const json: unknown = JSON.parse(text)
    return Array.isArray(json) ? { messages: json, isBatch: true } : { messages: [json], isBatch: false }
  } catch {
    return { messages: [], isBatch: false }
  }
}

/** The tools that the messages of a body call. */
export const calledTools = ({ messages }: McpBody): ReadonlyArray<string> =>
  messages.flatMap((message) => {
    const name = methodOf(message) === "tools/call" ? nameOf(message) : undefined
    return name === undefined ? [] : [name]
  })

/** What a header says otherwise than the body; `undefined` where they agree. A batch has no headers that mirror it. */
export const mismatch = (
  { isMalformed, method, name }: MirroredHeaders,
  { isBatch, messages }: McpBody
): "Mcp-Method" | "Mcp-Name" | undefined => {
  if (isMalformed) return "Mcp-Name"
  const [message] = messages
  if (messages.length === 0 || (method === undefined && name === undefined)) return undefined
  if (method !== undefined && (isBatch || methodOf(message) !== method)) return "Mcp-Method"
  if (name === undefined) return undefined
  const isNamed = isBatch || namedMember.has(methodOf(message) ?? "")
  return isNamed && (isBatch || nameOf(message) !== name) ? "Mcp-Name" : undefined
}

/** The error code of a header that differs from the body (MCP 2026-07-28, "Server Validation"). */
const headerMismatch = -32_020

/** The body of the response to a header that differs from the body. */
export const mismatchError = (header: string, { isBatch, messages }: McpBody) => {
  const id = isBatch ? undefined : memberOf(messages[0], "id")
  return {
    jsonrpc: "2.0",
    id: typeof id === "string" || typeof id === "number" ? id : null,
    error: { code: headerMismatch, message: `Header mismatch: ${header} does not match the body` }
  }
}

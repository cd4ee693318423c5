import type * as ByteSize from "effect/ByteSize"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Forbidden } from "../../HttpSecurityError.ts"
import type { Principal } from "../../Principal.ts"
import {
  calledTools,
  type MirroredHeaders,
  mirroredHeaders,
  mismatch,
  mismatchError,
  readMessages
} from "./mcpMessages.ts"
import { type McpSessions, sessionHeader } from "./mcpSessions.ts"
import { all, isMet, missingScopes, type Requirement, type ToolRules } from "./toolRules.ts"

type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse

/** What requests are admitted by. */
export interface AdmissionRules {
  readonly tools: ToolRules
  readonly sessions: McpSessions
  /** Upper bound of a body, in bytes. */
  readonly maxBytes: ByteSize.ByteSize
}

/** The revision without sessions. */
const withoutSessions = "2026-07-28"

/** What the headers alone say that the request needs. */
const neededByHeaders = ({ method, name }: MirroredHeaders, tools: ToolRules): Requirement =>
  method === "tools/call" && name !== undefined ? tools.requirementOf(name) : tools.base

/** Rejects a caller who lacks what is needed: the challenge names all scopes that the request needs. */
const rejectUnless = (
  requirement: Requirement,
  principal: Principal<unknown>
): Effect.Effect<never, Forbidden> | undefined => {
  if (isMet(requirement, principal)) return undefined
  const scopes = missingScopes(requirement)
  return scopes === undefined ? principal.deny : principal.denyScopes(...scopes)
}

const sessionUnknown = HttpServerResponse.empty({ status: 404 })

/** The request without the id of a session, which a revision without sessions ignores. */
const withoutSession = (request: Request): Request =>
  request.modify({ headers: Headers.remove(request.headers, sessionHeader) })

/** Sees the response when its headers are complete: `initialize` sets the id of its session last. */
const observed = <E, R>(
  handler: Effect.Effect<Response, E, R>,
  sessions: McpSessions,
  principal: Principal<unknown>,
  ended: string | undefined
): Effect.Effect<Response, E, R> =>
  Effect.flatMap(handler, (response) =>
    Effect.contextWith((context: Context.Context<never>) => {
      HttpEffect.appendPreResponseHandlerUnsafe(context, (_, sent) =>
        Effect.sync(() => {
          sessions.observe(principal, ended, sent)
          return sent
        }))
      return Effect.succeed(response)
    }))

/** Rejects a body that needs more than the headers said, or says otherwise than they do. */
const checkBody = (
  text: string,
  mirrored: MirroredHeaders,
  principal: Principal<unknown>,
  tools: ToolRules
): Effect.Effect<Response, Forbidden> | undefined => {
  const body = readMessages(text)
  const header = mismatch(mirrored, body)
  if (header !== undefined) {
    return Effect.succeed(HttpServerResponse.jsonUnsafe(mismatchError(header, body), { status: 400 }))
  }
  return rejectUnless(all(calledTools(body).map((name) => tools.requirementOf(name))), principal)
}

/**
 * Passes a request of an authenticated caller on to the MCP server, if its scopes allow it. The headers are judged before the body
 * is read; the body afterwards, since revisions before 2026-07-28 name the tool only there, and since a header could differ.
 */
export const admit = <E, R>(
  handler: Effect.Effect<Response, E, R>,
  principal: Principal<unknown>,
  { maxBytes, sessions, tools }: AdmissionRules
): Effect.Effect<Response, E | Forbidden, R | HttpServerRequest.HttpServerRequest> =>
  Effect.contextWith((context: Context.Context<HttpServerRequest.HttpServerRequest>) => {
    const received = Context.get(context, HttpServerRequest.HttpServerRequest)
    const mirrored = mirroredHeaders(received.headers)
    const rejected = rejectUnless(neededByHeaders(mirrored, tools), principal)
    if (rejected !== undefined) return rejected
    const session = received.headers[sessionHeader]
    const isForeign = session !== undefined && !sessions.isOwn(session, principal)
    if (isForeign && received.headers["mcp-protocol-version"] !== withoutSessions) return Effect.succeed(sessionUnknown)
    const request = isForeign ? withoutSession(received) : received
    const passed = observed(handler, sessions, principal, request.method === "DELETE" ? session : undefined)
    const checked = request.method === "POST"
      ? Effect.matchEffect(request.text, {
        onFailure: (error) => HttpServerRespondable.toResponse(error),
        onSuccess: (text): Effect.Effect<Response, E | Forbidden, R> =>
          checkBody(text, mirrored, principal, tools) ?? passed
      })
      : passed
    return Effect.provideService(
      request === received ? checked : Effect.provideService(checked, HttpServerRequest.HttpServerRequest, request),
      HttpIncomingMessage.MaxBodySize,
      maxBytes
    )
  })

import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import { LRUCache } from "lru-cache"
import type { Principal } from "../../Principal.ts"

/** The header with the id of a session (MCP 2025-11-25, "Session Management"). */
export const sessionHeader = "mcp-session-id"

/** Who a session belongs to. `undefined` for a token that names neither a subject nor a client nor itself. */
const ownerOf = (principal: Principal<unknown>): string | undefined => {
  const { clientId, issuer, registered: { jti }, subject } = principal
  if (subject === undefined && clientId === undefined) {
    return jti === undefined
      ? undefined
      : JSON.stringify([issuer, jti])
  }
  return JSON.stringify([issuer, subject ?? null, clientId ?? null])
}

/**
 * The owners of the sessions that a server has created. A session belongs to the subject and client whose request created it.
 * Above the limit the least recently used session is forgotten: requests with its id are answered as for an unknown session.
 */
export class McpSessions {
  readonly #owners: LRUCache<string, string>

  constructor(max: number) {
    this.#owners = new LRUCache({ max })
  }
  /** Whether a session belongs to a caller. */
  isOwn(id: string, principal: Principal<unknown>): boolean {
    const owner = this.#owners.get(id)
    return owner !== undefined && owner === ownerOf(principal)
  }
  /** Learns from a response which session was created or ended. */
  observe(
    principal: Principal<unknown>,
    ended: string | undefined,
    { headers, status }: HttpServerResponse.HttpServerResponse
  ): void {
    const created = headers[sessionHeader]
    const owner = ownerOf(principal)
    if (created !== undefined && owner !== undefined && !this.#owners.has(created)) this.#owners.set(created, owner)
    if (ended !== undefined && status === 204) this.#owners.delete(ended)
  }
}

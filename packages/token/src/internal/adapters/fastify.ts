import type { ResponseHeaders } from "../../BearerAuthentication.ts"
import type { ExpressRequest } from "./express.ts"
import { type Gate, type Requirement, requirementsOf } from "./gate.ts"
import type { Metrics } from "./metrics.ts"

/** A request of Fastify. */
export interface FastifyRequest {
  readonly raw: ExpressRequest
}

/** The part of a reply of Fastify that is used. */
export interface FastifyReply {
  code(status: number): FastifyReply
  getHeaders(): ResponseHeaders
  headers(values: Readonly<Record<string, string>>): FastifyReply
  send(body: string | Uint8Array): FastifyReply
}

/** A handler or a hook of Fastify. */
export type FastifyHandler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply | undefined>

/** Hooks and handlers for Fastify 5. */
export interface FastifyAdapter<C> {
  /**
   * A hook that admits callers with a valid token that meets all requirements, and responds to others with problem details. Use
   * it as `onRequest`, which runs before the body is read.
   *
   * Throws `ConfigurationError` (`INVALID_CONFIG`) for anything but a scope or a function.
   */
  readonly protect: (...requirements: ReadonlyArray<Requirement<C>>) => FastifyHandler
  /** Responds with the metrics in the Prometheus text format. */
  readonly metrics: FastifyHandler
}

/** Fastify adds a charset to the content type of text; JSON has no charset parameter (RFC 8259, 11). */
const encoder = new TextEncoder()

export const makeFastify = <C>(gate: Gate<C>, metrics: Metrics): FastifyAdapter<C> => ({
  protect: (...all) => {
    const requirements = requirementsOf(all)
    return async (request, reply) => {
      const { cacheHeaders, refusal } = await gate.admit([request, request.raw], request.raw, requirements)
      if (refusal !== undefined) reply.code(refusal.status).headers(refusal.headers)
      reply.headers(cacheHeaders(reply.getHeaders()))
      // A hook that returns the reply ends the request.
      return refusal === undefined ? undefined : reply.send(encoder.encode(refusal.body))
    }
  },
  metrics: async (_, reply) => reply.headers({ "content-type": metrics.contentType }).send(await metrics.text())
})

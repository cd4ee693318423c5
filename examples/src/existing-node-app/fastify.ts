/** An application in Fastify. */
import { fastify, type FastifyInstance } from "fastify"
import { authenticate, callerWith, errorResponseOf } from "./bearer.ts"
import type { Keelson } from "./keelson.ts"

export const makeFastify = (keelson: Keelson): FastifyInstance => {
  const app = fastify()
  // Runs before the body is read, so that callers without a token cannot send large bodies.
  app.addHook("onRequest", ({ raw }) => authenticate(keelson, raw))
  app.setErrorHandler((error, _, reply) => {
    const problem = errorResponseOf(error)
    return problem === undefined
      ? reply.send(error)
      : reply.code(problem.status).headers(problem.headers).send(problem.body)
  })

  app.get("/reports", async ({ raw }) => {
    const { claims } = callerWith(keelson, "reports:read", raw)
    return { caller: claims.client_id, reports: await keelson.reports() }
  })
  app.delete("/reports", ({ raw }, reply) => {
    callerWith(keelson, "reports:write", raw)
    return reply.code(204).send()
  })
  return app
}

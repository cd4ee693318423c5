/** An application in Fastify. */
import { fastify, type FastifyInstance } from "fastify"
import { answerOf, authenticate, callerWith } from "./bearer.ts"
import type { Keelson } from "./keelson.ts"

export const makeFastify = (keelson: Keelson): FastifyInstance => {
  const app = fastify()
  // Before the body is read, which somebody without a token could otherwise make long.
  app.addHook("onRequest", ({ raw }) => authenticate(keelson, raw))
  app.setErrorHandler((error, _, reply) => {
    const answer = answerOf(error)
    return answer === undefined
      ? reply.send(error)
      : reply.code(answer.status).headers(answer.headers).send(answer.body)
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

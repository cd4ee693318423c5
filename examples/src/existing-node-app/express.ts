/** The same application in Express. */
import express, { type ErrorRequestHandler, type Express } from "express"
import { answerOf, authenticate, callerWith } from "./bearer.ts"
import type { Keelson } from "./keelson.ts"

/** Express knows by the number of parameters that it handles errors. */
const onError: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  const answer = answerOf(error)
  if (answer === undefined) next(error)
  else response.status(answer.status).set(answer.headers).send(JSON.stringify(answer.body))
}

export const makeExpress = (keelson: Keelson): Express => {
  const app = express().disable("x-powered-by")
  app.use(async (request, _, next) => {
    await authenticate(keelson, request)
    next()
  })

  // oxlint-disable-next-line oxc/no-async-endpoint-handlers -- Express 5 hands on what is rejected; Express 4 needs a `catch`
  app.get("/reports", async (request, response) => {
    const { claims } = callerWith(keelson, "reports:read", request)
    response.json({ caller: claims.client_id, reports: await keelson.reports() })
  })
  app.delete("/reports", (request, response) => {
    callerWith(keelson, "reports:write", request)
    response.status(204).end()
  })
  return app.use(onError)
}

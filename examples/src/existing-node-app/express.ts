/** The same application in Express. */
import express, { type ErrorRequestHandler, type Express } from "express"
import { authenticate, callerWith, errorResponseOf } from "./bearer.ts"
import type { Keelson } from "./keelson.ts"

/** Express recognizes an error handler by its four parameters. */
const onError: ErrorRequestHandler = (error: unknown, _request, response, next) => {
  const problem = errorResponseOf(error)
  if (problem === undefined) next(error)
  else response.status(problem.status).set(problem.headers).send(JSON.stringify(problem.body))
}

export const makeExpress = (keelson: Keelson): Express => {
  const app = express().disable("x-powered-by")
  app.use(async (request, _, next) => {
    await authenticate(keelson, request)
    next()
  })

  // oxlint-disable-next-line oxc/no-async-endpoint-handlers -- Express 5 handles rejected promises; Express 4 needs a `catch`
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

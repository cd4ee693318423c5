import type { ResponseHeaders } from "../../BearerAuthentication.ts"
import { type Gate, type Requirement, requirementsOf } from "./gate.ts"
import type { Metrics } from "./metrics.ts"

/** A request of Express, or of another framework whose middleware gets the request of `node:http`. */
export interface ExpressRequest {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly rawHeaders: ReadonlyArray<string>
}

/** The part of the response of `node:http` that is used. */
export interface ExpressResponse {
  statusCode: number
  readonly headersSent: boolean
  getHeaders(): ResponseHeaders
  setHeader(name: string, value: string): unknown
  end(body: string): unknown
}

/** Middleware of Express. */
export type ExpressHandler = (
  request: ExpressRequest,
  response: ExpressResponse,
  next: (error?: unknown) => void
) => Promise<void>

/** Middleware for Express 5. */
export interface ExpressAdapter<C> {
  /**
   * Admits callers with a valid token that meets all requirements; responds to others with problem details. Put it before
   * middleware that reads the body.
   *
   * Throws `ConfigurationError` (`INVALID_CONFIG`) for anything but a scope or a function.
   */
  readonly protect: (...requirements: ReadonlyArray<Requirement<C>>) => ExpressHandler
  /** Responds with the metrics in the Prometheus text format. */
  readonly metrics: ExpressHandler
}

const setHeaders = (response: ExpressResponse, headers: Readonly<Record<string, string>>): void => {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
}

const send = (response: ExpressResponse, status: number, headers: Readonly<Record<string, string>>, body: string) => {
  response.statusCode = status
  setHeaders(response, headers)
  response.end(body)
}

/** Runs the decision about a request. Continues if it is true; an error goes to the application's error handler. */
const continueIf =
  (decide: (request: ExpressRequest, response: ExpressResponse) => Promise<boolean>): ExpressHandler =>
  async (request, response, next) => {
    let proceeds: boolean
    try {
      proceeds = await decide(request, response)
    } catch (error) {
      return next(error)
    }
    return proceeds ? next() : undefined
  }

export const makeExpress = <C>(gate: Gate<C>, metrics: Metrics): ExpressAdapter<C> => ({
  protect: (...all) => {
    const requirements = requirementsOf(all)
    return continueIf(async (request, response) => {
      const { cacheHeaders, refusal } = await gate.admit([request], request, requirements)
      // Something else responded meanwhile, such as a timeout.
      if (response.headersSent) return false
      if (refusal === undefined) {
        setHeaders(response, cacheHeaders(response.getHeaders()))
        return true
      }
      send(response, refusal.status, { ...refusal.headers, ...cacheHeaders(refusal.headers) }, refusal.body)
      return false
    })
  },
  metrics: continueIf(async (_, response) => {
    send(response, 200, { "content-type": metrics.contentType }, await metrics.text())
    return false
  })
})

import type { Request } from "../../BearerAuthentication.ts"
import { type Gate, type Requirement, requirementsOf } from "./gate.ts"
import type { Metrics } from "./metrics.ts"

/** The part of a context of Hono that is used. */
export interface HonoContext {
  readonly req: { readonly raw: WebRequest }
  readonly res: { readonly headers: Iterable<readonly [name: string, value: string]> }
  body(data: string, status: number, headers: Record<string, string>): Response
  header(name: string, value: string): void
}

/** The part of a request of the web platform that is used. */
export interface WebRequest {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly headers: Iterable<readonly [name: string, value: string]>
}

/** The form of a request of the web platform that authentication takes. */
export const requestOf = ({ headers, method, url }: WebRequest): Request => ({ method, url, headers: [...headers] })

/** Middleware of Hono. */
export type HonoMiddleware = (context: HonoContext, next: () => Promise<void>) => Promise<Response | undefined>

/** A handler of Hono. */
export type HonoHandler = (context: HonoContext) => Promise<Response>

/** Middleware and handlers for Hono. */
export interface HonoAdapter<C> {
  /**
   * Admits callers with a valid token that meets all requirements; responds to others with problem details.
   *
   * Throws `ConfigurationError` (`INVALID_CONFIG`) for anything but a scope or a function.
   */
  readonly protect: (...requirements: ReadonlyArray<Requirement<C>>) => HonoMiddleware
  /** Responds with the metrics in the Prometheus text format. */
  readonly metrics: HonoHandler
}

export const makeHono = <C>(gate: Gate<C>, metrics: Metrics): HonoAdapter<C> => ({
  protect: (...all) => {
    const requirements = requirementsOf(all)
    return async (context, next) => {
      const request = requestOf(context.req.raw)
      const { cacheHeaders, refusal } = await gate.admit([context], request, requirements)
      if (refusal !== undefined) {
        const headers = { ...refusal.headers, ...cacheHeaders(refusal.headers) }
        return context.body(refusal.body, refusal.status, headers)
      }
      await next()
      // Hono's context has the response of the handler now.
      const headers = cacheHeaders(Object.fromEntries(context.res.headers))
      for (const [name, value] of Object.entries(headers)) context.header(name, value)
      return undefined
    }
  },
  metrics: async (context) => context.body(await metrics.text(), 200, { "content-type": metrics.contentType })
})

import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { Egress, type EgressRequest, type EgressResponse, type Rules } from "../../Egress.ts"
import { type Body, checkLength, readBody } from "./body.ts"
import { failureOf } from "./failure.ts"
import { refused } from "./refusal.ts"
import { areSendable, checkUrl, locationOf, narrowed, type ServiceRules } from "./rules.ts"

/** The part of `Response` used here, of the platform's `fetch` or of undici. */
interface FetchResponse {
  readonly status: number
  readonly type: string
  readonly headers: Iterable<readonly [string, string]> & { readonly get: (name: string) => string | null }
  readonly body: Body | null
}

interface Exchange {
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

/** Sends one GET without following redirects. Aborting the signal closes the connection, also while the body is read. */
export type Send = (url: URL, exchange: Exchange) => Promise<FetchResponse>

/** Opens the connections that all exchanges of one `get` share, until the scope closes. */
export type Open = (
  pins: ReadonlyArray<string>
) => Effect.Effect<Send, KeelsonError.NetworkError, Scope.Scope>

const record = (headers: FetchResponse["headers"]): Record<string, string> => {
  const joined = new Map<string, string>()
  for (const [name, value] of headers) {
    const previous = joined.get(name)
    joined.set(name, previous === undefined ? value : `${previous}, ${value}`)
  }
  return Object.fromEntries(joined)
}

/**
 * Reads the body of a response, empty if it has none. The `Content-Length` is then not checked: a 304 may state the length of
 * the body that it does not send (RFC 9110, 8.6).
 */
const bodyOf = Effect.fnUntraced(function*({ body, headers }: FetchResponse, limit: number, hop: number) {
  if (body === null) return new Uint8Array()
  yield* checkLength(headers.get("content-length"), limit, hop)
  return yield* readBody(body, limit, hop)
})

/** Runs one exchange. Returns the response with its body, or the `Location` of a redirect. */
const exchange = (send: Send, url: URL, headers: Exchange["headers"], limit: number, hop: number) =>
  Effect.acquireUseRelease(
    Effect.sync(() => ({ controller: new AbortController(), isRejected: false })),
    Effect.fnUntraced(function*(request) {
      const response = yield* Effect.tryPromise({
        try: () => send(url, { headers, signal: request.controller.signal }),
        catch: (cause) => {
          request.isRejected = true
          return failureOf(cause, hop, url)
        }
      })
      // Browsers hide the target of a redirect.
      if (response.type === "opaqueredirect") return yield* refused("redirect", hop + 1)
      const location = locationOf(response.status, response.headers)
      if (location !== undefined) return location
      const body = yield* bodyOf(response, limit, hop)
      return { status: response.status, headers: record(response.headers), body, url } satisfies EgressResponse
    }),
    // Closes the connection of a response that was not read to its end, also on interruption. A rejected `fetch` is not
    // aborted: undici before 8 may still have its body without an error listener, and aborting that ends the process.
    ({ controller, isRejected }) => Effect.sync(() => isRejected || controller.abort())
  )

/** The headers of the options, in plain text. */
const headersOf = ({ headers }: ServiceRules): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), Redacted.value(value)]))

/**
 * Makes an `Egress` from the rules of the service and a function that opens connections. `more` are headers whose values
 * change, in addition to those of the options.
 */
export const makeEgress = (
  service: ServiceRules,
  open: Open,
  more: Effect.Effect<Readonly<Record<string, string>>, KeelsonError.NetworkError> = Effect.succeed({})
): Egress["Service"] => {
  const constant = headersOf(service)
  const credentials = Effect.map(more, (changing) => ({ ...constant, ...changing }))
  const check = (url: string | URL, rules?: Rules) =>
    Effect.suspend(() =>
      Effect.fromResult(Result.mapError(checkUrl(url, service, rules), (reason) => refused(reason, 0, url)))
    )
  const get = Effect.fn("Egress.get")(function*({ headers = {}, rules, url: input }: EgressRequest) {
    let url = yield* check(input, rules)
    if (!areSendable(headers)) return yield* refused("header")
    const { origin } = url
    const own = yield* credentials
    const agent = service.userAgent === undefined ? {} : { "user-agent": service.userAgent }
    const send = yield* open(rules?.pins ?? [])
    const limit = narrowed(service.maxBytes, rules?.maxBytes)
    const maxRedirects = narrowed(service.maxRedirects, rules?.maxRedirects)
    const seen = new Set<string>()
    for (let hop = 0;; hop++) {
      seen.add(url.href)
      // The service's headers are for the hosts that the operator named, not for those that a redirect leads to.
      const sent = { ...agent, ...headers, ...(url.origin === origin ? own : undefined) }
      const result = yield* exchange(send, url, sent, limit, hop)
      if (typeof result !== "string") return result
      if (hop >= maxRedirects) return yield* refused("redirect", hop + 1)
      const next = SafeUrl.checkRedirect(url, result, (to) => checkUrl(to, service, rules))
      if (Result.isFailure(next)) return yield* refused(next.failure, hop + 1, URL.parse(result, url) ?? undefined)
      if (seen.has(next.success.href)) return yield* refused("redirect", hop + 1)
      url = next.success
    }
  }, Effect.scoped)
  return Egress.of({ check, get })
}

import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { Egress, type EgressRequest, type EgressResponse, type Rules } from "../../Egress.ts"
import { type Body, checkLength, readBody } from "./body.ts"
import { failureOf } from "./failure.ts"
import { refused } from "./refusal.ts"
import { areSendable, checkUrl, locationOf, narrowed, type ServiceRules } from "./rules.ts"

/** What is used of a `Response`, be it the platform's or undici's. */
interface Answer {
  readonly status: number
  readonly type: string
  readonly headers: Iterable<readonly [string, string]> & { readonly get: (name: string) => string | null }
  readonly body: Body | null
}

interface Exchange {
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

/** One GET, its redirect not followed. Aborting the signal closes its connection, also while the body is read. */
export type Send = (url: URL, exchange: Exchange) => Promise<Answer>

/** Opens what the exchanges of one `get` share, for as long as it lasts. */
export type Open = (
  pins: ReadonlyArray<string>
) => Effect.Effect<Send, KeelsonError.NetworkError, Scope.Scope>

const record = (headers: Answer["headers"]): Record<string, string> => {
  const joined = new Map<string, string>()
  for (const [name, value] of headers) {
    const before = joined.get(name)
    joined.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return Object.fromEntries(joined)
}

/** A 304 may tell the length of what it does not send (RFC 9110, 8.6); a `fetch` gives it no body. */
const bodyOf = Effect.fnUntraced(function*({ body, headers }: Answer, limit: number, hop: number) {
  if (body === null) return new Uint8Array()
  yield* checkLength(headers.get("content-length"), limit, hop)
  return yield* readBody(body, limit, hop)
})

/** One exchange to its end: a response that was read, or the text of a redirect. */
const exchange = (send: Send, url: URL, headers: Exchange["headers"], limit: number, hop: number) =>
  Effect.acquireUseRelease(
    Effect.sync(() => ({ controller: new AbortController(), isRejected: false })),
    Effect.fnUntraced(function*(sent) {
      const answer = yield* Effect.tryPromise({
        try: () => send(url, { headers, signal: sent.controller.signal }),
        catch: (cause) => {
          sent.isRejected = true
          return failureOf(cause, hop)
        }
      })
      // A browser hides where a redirect leads.
      if (answer.type === "opaqueredirect") return yield* refused("redirect", hop + 1)
      const location = locationOf(answer.status, answer.headers)
      if (location !== undefined) return location
      const body = yield* bodyOf(answer, limit, hop)
      return { status: answer.status, headers: record(answer.headers), body, url } satisfies EgressResponse
    }),
    // Whatever was not read to its end is closed, also by an interruption. What was rejected is over: undici before 8 may
    // have a body left of it, and to abort that ends the process, since nobody listens to its error.
    ({ controller, isRejected }) => Effect.sync(() => isRejected || controller.abort())
  )

/** `Egress` over a way to send one request. */
export const makeEgress = (service: ServiceRules, open: Open): Egress["Service"] => {
  const check = (url: string | URL, rules?: Rules) =>
    Effect.suspend(() => Effect.fromResult(Result.mapError(checkUrl(url, service, rules), (reason) => refused(reason))))
  const get = Effect.fn("Egress.get")(function*({ headers = {}, rules, url: input }: EgressRequest) {
    let url = yield* check(input, rules)
    if (!areSendable(headers)) return yield* refused("header")
    const send = yield* open(rules?.pins ?? [])
    const limit = narrowed(service.maxBytes, rules?.maxBytes)
    const maxRedirects = narrowed(service.maxRedirects, rules?.maxRedirects)
    const seen = new Set<string>()
    for (let hop = 0;; hop++) {
      seen.add(url.href)
      const answer = yield* exchange(send, url, headers, limit, hop)
      if (typeof answer !== "string") return answer
      if (hop >= maxRedirects) return yield* refused("redirect", hop + 1)
      const next = SafeUrl.checkRedirect(url, answer, (to) => checkUrl(to, service, rules))
      if (Result.isFailure(next)) return yield* refused(next.failure, hop + 1)
      if (seen.has(next.success.href)) return yield* refused("redirect", hop + 1)
      url = next.success
    }
  }, Effect.scoped)
  return Egress.of({ check, get })
}

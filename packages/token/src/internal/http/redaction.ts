import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"
import type { TokenSources } from "./requestToken.ts"

/** OAuth parameters whose values are secrets. Effect's own list has parameters of signed URLs only. */
const parameters = [
  "access_token",
  "refresh_token",
  "id_token",
  "id_token_hint",
  "client_secret",
  "client_assertion",
  "assertion"
]

/** Headers missing from Effect's own list: proofs of possession (RFC 9449), proxy credentials, and URLs that may contain a token. */
const headers = ["dpop", "proxy-authorization", "referer"]

/**
 * Adds names of query parameters and headers to those that spans redact. OAuth parameters with tokens and secrets, and headers
 * with credentials, are always included.
 */
export const layerRedaction = (...names: ReadonlyArray<string>): Layer.Layer<never> =>
  Layer.effectContext(Effect.gen(function*() {
    const redactedNames = yield* UrlParams.CurrentRedactedNames
    const redactedHeaders = yield* Headers.CurrentRedactedNames
    return Context.empty().pipe(
      Context.add(UrlParams.CurrentRedactedNames, [...redactedNames, ...parameters, ...names]),
      Context.add(Headers.CurrentRedactedNames, [...redactedHeaders, ...headers, ...names])
    )
  }))

const unredacted = (option: "queryParameter" | "header", name: string) =>
  InvalidConfig.option(option, `a ${option === "header" ? "header" : "parameter"} that spans redact`, {
    message:
      `Invalid configuration: ${option} would expose tokens in spans; provide HttpSecurity.layerRedaction("${name}") to the server`
  })

/**
 * Fails unless the names of a query parameter and of a header with tokens are redacted. The span of a server contains the whole
 * URL and headers, and middleware cannot change that span.
 */
export const checkRedaction = Effect.fnUntraced(function*(
  { header, queryParameter }: TokenSources
): Effect.fn.Return<void, KeelsonError.ConfigurationError> {
  const parameters = yield* UrlParams.CurrentRedactedNames
  if (queryParameter !== undefined && !UrlParams.isRedactedName(queryParameter, parameters)) {
    return yield* Effect.fail(unredacted("queryParameter", queryParameter))
  }
  const headers = yield* Headers.CurrentRedactedNames
  if (header !== undefined && !Headers.isRedactedName(header, headers)) {
    return yield* Effect.fail(unredacted("header", header))
  }
})

import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"

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
 * Adds names of query parameters, and headers with secrets, to those that spans redact. OAuth parameters with tokens and
 * secrets are always included.
 */
export const layerRedaction = (...names: ReadonlyArray<string>): Layer.Layer<never> =>
  Layer.effectContext(Effect.gen(function*() {
    const redactedNames = yield* UrlParams.CurrentRedactedNames
    const redactedHeaders = yield* Headers.CurrentRedactedNames
    return Context.empty().pipe(
      Context.add(UrlParams.CurrentRedactedNames, [...redactedNames, ...parameters, ...names]),
      Context.add(Headers.CurrentRedactedNames, [...redactedHeaders, ...headers])
    )
  }))

const unredacted = (name: string) =>
  InvalidConfig.option("queryParameter", "a parameter that spans redact", {
    message:
      `Invalid configuration: queryParameter would expose tokens in spans; provide HttpSecurity.layerRedaction("${name}") to the server`
  })

/**
 * Fails unless the name of a query parameter is redacted. The span of a server contains the whole URL, and middleware cannot
 * change that span.
 */
export const checkRedaction = (name: string | undefined): Effect.Effect<void, KeelsonError.ConfigurationError> =>
  name === undefined ? Effect.void : Effect.flatMap(
    UrlParams.CurrentRedactedNames,
    (names) => UrlParams.isRedactedName(name, names) ? Effect.void : Effect.fail(unredacted(name))
  )

import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as UrlParams from "effect/http/UrlParams"
import * as Layer from "effect/Layer"

/** Parameters of OAuth requests and responses whose values are secrets. Effect's own list has those of signed URLs only. */
const parameters = [
  "access_token",
  "refresh_token",
  "id_token",
  "id_token_hint",
  "client_secret",
  "client_assertion",
  "assertion"
]

/** Headers that Effect's own list lacks: proofs of possession (RFC 9449), tokens beside a token, and URLs that had one. */
const headers = ["dpop", "proxy-authorization", "referer"]

/** Adds names to what spans leave out of URLs and headers. */
export const layerRedaction = (...names: ReadonlyArray<string>): Layer.Layer<never> =>
  Layer.effectContext(Effect.gen(function*() {
    const known = yield* UrlParams.CurrentRedactedNames
    const knownHeaders = yield* Headers.CurrentRedactedNames
    return Context.empty().pipe(
      Context.add(UrlParams.CurrentRedactedNames, [...known, ...parameters, ...names]),
      Context.add(Headers.CurrentRedactedNames, [...knownHeaders, ...headers])
    )
  }))

const unredacted = (name: string) =>
  new KeelsonError.ConfigurationError({
    code: "INVALID_CONFIG",
    message:
      `Invalid configuration: queryParameter puts tokens into spans, unless the server is under HttpSecurity.layerRedaction("${name}")`,
    details: { path: "queryParameter", expected: "a parameter that spans leave out" }
  })

/**
 * A server's span has the whole URL, and is begun and ended outside of all that a middleware can reach. So tokens in URLs
 * are only taken where the layers around have their name redacted.
 */
export const checkRedaction = (name: string | undefined): Effect.Effect<void, KeelsonError.ConfigurationError> =>
  name === undefined ? Effect.void : Effect.flatMap(
    UrlParams.CurrentRedactedNames,
    (names) => UrlParams.isRedactedName(name, names) ? Effect.void : Effect.fail(unredacted(name))
  )

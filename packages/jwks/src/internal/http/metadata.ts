import * as KeelsonError from "@keelson/core/KeelsonError"
import { after, hasCome, type Instant, now } from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { Egress, Rules } from "../../Egress.ts"
import { hasMoreValues, maxValues } from "../keys/jsonSize.ts"
import { failed, failure, fetchDocument, type FetchFailed } from "./fetchDocument.ts"
import { type HeaderRecord, lifetime } from "./freshness.ts"
import { kept, merged } from "./validators.ts"

/** Where the metadata are: `oidc` (OpenID Connect Discovery 1.0, 4) or `oauth2` (RFC 8414, 3). */
export type Kind = "oidc" | "oauth2"

/** The member of the metadata that contains the URL. */
export type Endpoint = "introspection_endpoint" | "jwks_uri" | "token_endpoint"

/** The metadata of an issuer. */
export interface Metadata {
  readonly issuer: string
  /** The URL of the requested endpoint. */
  readonly endpoint: string
  /** The whole document. */
  readonly document: Readonly<Record<string, unknown>>
}

/**
 * Returns the URL of an issuer's metadata.
 *
 * OpenID Connect appends `/.well-known/openid-configuration` to the issuer; RFC 8414 inserts
 * `/.well-known/oauth-authorization-server` between its host and path. Both omit a `/` at the end of the path.
 *
 * Fails with `NetworkError` (`DISCOVERY_INVALID`) for an issuer that is not a URL, or has a query or fragment.
 */
export const wellKnownUrl = (issuer: string, kind: Kind): Result.Result<string, KeelsonError.NetworkError> => {
  const url = Result.getOrUndefined(Result.try(() => new URL(issuer)))
  if (url === undefined || /[?#]/.test(issuer)) {
    return Result.fail(
      failure(
        "DISCOVERY_INVALID",
        `The issuer must be a URL without query and fragment, but is ${
          url === undefined ? "not a URL" : "a URL with a query or fragment"
        }`
      )
    )
  }
  const path = url.pathname.replace(/\/$/, "")
  url.pathname = kind === "oidc"
    ? `${path}/.well-known/openid-configuration`
    : `/.well-known/oauth-authorization-server${path}`
  return Result.succeed(url.href)
}

const invalid = (message: string): FetchFailed => failed(failure("DISCOVERY_INVALID", message))

/** Upper bound of the characters of a URL in the metadata. */
const maxUrlLength = 8192

/** Names a value by its kind. */
const kindOf = (value: unknown): string => {
  if (value === undefined) return "missing"
  if (value === null) return "null"
  return Array.isArray(value) ? "a list" : `of type ${typeof value}`
}

/** Names a body that is not JSON. */
const kindOfText = (body: string): string => {
  const start = body.trimStart()
  return start === "" ? "empty" : start.startsWith("<") ? "HTML or XML" : "other text"
}

/** Shows an issuer in an error: at most 256 characters of a URL without user, query and fragment. */
const shown = (issuer: unknown): string => {
  if (!Predicate.isString(issuer)) return kindOf(issuer)
  const url = URL.parse(issuer)
  if (url === null) return "text that is not a URL"
  const isPlain = issuer.startsWith(url.origin) && !/[?#@\s]/.test(issuer)
  return (isPlain ? issuer : `${url.origin}${url.pathname}`).slice(0, 256)
}

const anotherIssuer = (expected: string, received: unknown): FetchFailed => {
  const isSlash = Predicate.isString(received) && received.replace(/\/$/, "") === expected.replace(/\/$/, "")
  return invalid(
    `The metadata belong to another issuer: expected ${shown(expected)}, but \`issuer\` is ${shown(received)}` +
      (isSlash ? ". They differ in the slash at the end: configure the issuer as the metadata have it" : "")
  )
}

const parse = (issuer: string, member: Endpoint, body: string): Result.Result<Metadata, FetchFailed> => {
  if (hasMoreValues(body)) return Result.fail(invalid(`The metadata have more than ${maxValues} values`))
  return Result.try({
    try: (): unknown => JSON.parse(body),
    catch: () => invalid(`The metadata are not JSON: expected an object, but the body is ${kindOfText(body)}`)
  }).pipe(
    Result.flatMap((json): Result.Result<Metadata, FetchFailed> => {
      if (!Predicate.isObject(json)) {
        return Result.fail(invalid(`The metadata are not an object: the JSON is ${kindOf(json)}`))
      }
      const document: Readonly<Record<string, unknown>> = { ...json }
      if (document["issuer"] !== issuer) return Result.fail(anotherIssuer(issuer, document["issuer"]))
      const endpoint = document[member]
      if (!Predicate.isString(endpoint)) {
        return Result.fail(invalid(`The metadata have no \`${member}\`: expected a URL, but it is ${kindOf(endpoint)}`))
      }
      return endpoint.length <= maxUrlLength
        ? Result.succeed({ issuer, endpoint, document })
        : Result.fail(invalid(`The metadata have a \`${member}\` of more than ${maxUrlLength} characters`))
    })
  )
}

/** Names the member whose URL is malformed: it is a mistake in the metadata, not in the configuration. */
const malformedEndpoint = (
  { code, details }: KeelsonError.NetworkError,
  member: Endpoint = "jwks_uri"
): KeelsonError.NetworkError => {
  const message = `The metadata have a \`${member}\` that is not an absolute URL`
  return new KeelsonError.NetworkError({ code, message, details })
}

/** The options of discovery. */
export interface Options {
  /** The issuer, which the metadata must name character by character. Required. */
  readonly issuer: string
  /** Where the metadata are. Required. */
  readonly kind: Kind
  /** Which URL of the metadata is returned as `endpoint`. Default jwks_uri. */
  readonly endpoint?: Endpoint | undefined
  /** Fetches the metadata. Required. */
  readonly egress: Egress["Service"]
  /** Rules of the requests, in addition to those of the egress. Required. */
  readonly rules: Rules
  /** Lifetime of a response that states none. Required. */
  readonly ttl: Duration.Duration
  /** Lower bound of the lifetime that a response states. Required. */
  readonly minTtl: Duration.Duration
  /** Upper bound of the lifetime that a response states. Required. */
  readonly maxTtl: Duration.Duration
}

interface CachedMetadata {
  readonly metadata: Metadata
  readonly headers: HeaderRecord
  readonly expiresAt: Instant
}

/** Fetches an issuer's metadata, and caches them for the lifetime of their response. */
export interface MetadataSource {
  /** Returns fresh cached metadata, or fetches them. If the fetch fails or hangs, the cached ones stay in use. */
  readonly metadata: Effect.Effect<Metadata, FetchFailed>
  /** Expires the cached metadata: the next `metadata` fetches. */
  readonly expire: () => void
}

/** Delay between fetches after a failed or hanging one, in milliseconds. */
const retryDelay = 30_000

/** Makes a source of an issuer's metadata. Fetches nothing before `metadata` is run. */
export const makeMetadata = (options: Options): MetadataSource => {
  let cached: CachedMetadata | undefined
  let isExpired = false
  let retryAt: Instant | undefined

  const fetch = Effect.gen(function*() {
    const url = yield* Effect.fromResult(Result.mapError(wellKnownUrl(options.issuer, options.kind), (e) => failed(e)))
    const { egress, rules } = options
    const response = yield* fetchDocument({
      egress,
      url,
      rules,
      accept: "application/json",
      cachedHeaders: cached?.headers,
      noCache: isExpired,
      invalid: "DISCOVERY_INVALID"
    })
    const { headers, metadata } = response._tag === "Document"
      ? {
        headers: kept(response.headers),
        metadata: yield* Effect.fromResult(parse(options.issuer, options.endpoint ?? "jwks_uri", response.body))
      }
      : { headers: merged(cached?.headers ?? {}, response.headers), metadata: cached?.metadata }
    // `fetchDocument` accepts a 304 only for a conditional request, so metadata are cached here.
    if (metadata === undefined) {
      return yield* Effect.fail(invalid("Provider responded with status 304 to a request without validators"))
    }
    yield* Effect.mapError(
      egress.check(metadata.endpoint, rules),
      (error) => failed(URL.canParse(metadata.endpoint) ? error : malformedEndpoint(error, options.endpoint))
    )
    const fresh = Duration.toMillis(lifetime(headers, response.receivedAt, options))
    cached = { metadata, headers, expiresAt: after(response.sentAt, fresh) }
    isExpired = false
    retryAt = undefined
    return metadata
  })

  /** Delays the next fetch before this one begins, since a hanging fetch is interrupted: the next call then uses the cache. */
  const fetchAgain = (current: CachedMetadata, clock: Clock.Clock): Effect.Effect<Metadata> => {
    retryAt = after(now(clock), retryDelay)
    return Effect.orElseSucceed(fetch, () => current.metadata)
  }
  const metadata = Effect.flatMap(Clock.Clock, (clock): Effect.Effect<Metadata, FetchFailed> => {
    const current = cached
    if (current === undefined) return fetch
    const isDue = isExpired || hasCome(current.expiresAt, clock)
    const isDelayed = retryAt !== undefined && !hasCome(retryAt, clock)
    return isDue && !isDelayed ? fetchAgain(current, clock) : Effect.succeed(current.metadata)
  })
  return {
    metadata,
    expire: () => {
      isExpired = true
      retryAt = undefined
    }
  }
}

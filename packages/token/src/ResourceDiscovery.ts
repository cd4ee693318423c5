/**
 * Finds the authorization server of a protected resource: the resource's challenge, its metadata, and the server's metadata.
 *
 * All requests use `Egress`, follow no redirect, and are bounded in time and size. Metadata are used only if they belong to the
 * resource, are at its origin, and name an authorization server at which the client is registered.
 *
 * @see RFC 9728, 3 and 5; RFC 8414, 3; MCP 2026-07-28, Authorization Server Discovery
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import { after, hasCome, type Instant, now } from "@keelson/core/unstable/Instant"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import { Egress } from "@keelson/jwks/Egress"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { UsesMutualTls } from "./internal/mtls/certificateUse.ts"
import { checkEndpoint, isIssuer } from "./internal/oauth/endpoints.ts"
import { checkResource, checkServer, serverPlaces } from "./internal/resource/checkMetadata.ts"
import { fetchFirst, type FetchRules, get, invalid } from "./internal/resource/fetchMetadata.ts"
import { type ResourceChallenge, resourceChallenge } from "./internal/resource/resourceChallenge.ts"
import { metadataPaths } from "./internal/resource/wellKnown.ts"

export type { MetadataProblem } from "./internal/resource/fetchMetadata.ts"

/** Options of `make`. All except `resource` and `issuers` may be left out. */
export interface Options {
  /** The resource's identifier, which its metadata must name character by character. From 1 to 2048 characters. Required. */
  readonly resource: string
  /** The issuers of the authorization servers at which the client is registered. No other is used. From 1 to 16 issuers. Required. */
  readonly issuers: ReadonlyArray<string>
  /** Time limit of each request. From 100 millis to 1 minute. Default 10 seconds. */
  readonly requestTimeout?: Field.DurationInput | undefined
  /** Upper bound of each response body, in bytes. From 1024 to 1048576. Default 65536. */
  readonly maxBytes?: number | undefined
  /** How long what was found is used before it is looked up again. From 1 second to 24 hours. Default 1 hour. */
  readonly lifetime?: Field.DurationInput | undefined
  /** Whether http is allowed for this machine. `LocalDevelopment` changes the default. Default false. */
  readonly allowLocalhost?: boolean | undefined
}

const expectedIssuers = "a list of 1 to 16 issuers"

const Fields = Schema.Struct({
  resource: Field.text(1, 2048),
  issuers: Schema.Array(Field.text(1, 2048)).check(
    Schema.isMinLength(1, { expected: expectedIssuers }),
    Schema.isMaxLength(16, { expected: expectedIssuers })
  ),
  requestTimeout: Field.defaulted(Field.duration("100 millis", "1 minute"), Duration.seconds(10)),
  maxBytes: Field.defaulted(Field.int(1_024, 1_048_576), 65_536),
  lifetime: Field.defaulted(Field.duration("1 second", "24 hours"), Duration.hours(1)),
  allowLocalhost: Field.allowLocalhost()
})
type Fields = typeof Fields.Type

const isResourceUrl = Schema.makeFilter((o: Fields) =>
  Result.isSuccess(checkEndpoint(o.resource, o)) ||
  { path: ["resource"], issue: `an https URL without user and fragment; ${SafeUrl.localHint}` }
)
const areIssuers = Schema.makeFilter((o: Fields) => {
  const index = o.issuers.findIndex((issuer) => !isIssuer(issuer, o))
  return index < 0 || {
    path: ["issuers", index],
    issue: `an https URL without user, query and fragment; ${SafeUrl.localHint}`
  }
})

/** Checked options of a discovery. */
export const DiscoveryOptions = Fields.check(isResourceUrl, areIssuers)
export type DiscoveryOptions = typeof DiscoveryOptions.Type

/** What is known of a protected resource. */
export interface DiscoveredResource {
  /** The resource's identifier: the `resource` of token requests (RFC 8707). */
  readonly resource: string
  /** The issuer of the authorization server to use. */
  readonly issuer: string
  /** The URL of the server's token endpoint; the one for mutual TLS, if there is one and the client of token requests has a certificate. */
  readonly tokenEndpoint: string
  /** The scopes to begin with: those of the resource's challenge, else those of its metadata. */
  readonly scopes: ReadonlyArray<string>
  /** The metadata of the resource. */
  readonly metadata: Readonly<Record<string, unknown>>
  /** The metadata of the authorization server. */
  readonly server: Readonly<Record<string, unknown>>
}

/** Finds the authorization server of one resource. */
export interface ResourceDiscovery {
  /**
   * Returns what was found, for its lifetime, and looks it up otherwise. Concurrent callers share one lookup.
   *
   * Fails with `NetworkError`: `RESOURCE_METADATA_INVALID`, whose details name the `reason`, or the error of a request.
   */
  readonly discover: Effect.Effect<DiscoveredResource, KeelsonError.NetworkError>
  /** Forgets what was found. */
  readonly expire: () => void
}

/** What the resource answers to a request without a token. Without an answer its metadata may still be found. */
const askForChallenge = (resource: URL, rules: FetchRules): Effect.Effect<ResourceChallenge | undefined> =>
  get(resource, rules).pipe(
    Effect.map(({ headers, status }) => status === 401 ? resourceChallenge(headers["www-authenticate"]) : undefined),
    Effect.orElseSucceed(() => undefined)
  )

/** The characters of a URL that parsers read alike: a backslash is a slash to some. */
const plainUrl = /^[\x21-\x5b\x5d-\x7e]+$/

/** The place that a challenge names must be at the resource's origin: nobody else can say which server it trusts. */
const namedPlace = (
  text: string,
  resource: URL,
  options: DiscoveryOptions
): Result.Result<URL, KeelsonError.NetworkError> => {
  const place = checkEndpoint(text, options)
  return plainUrl.test(text) && Result.isSuccess(place) && place.success.origin === resource.origin
    ? Result.succeed(place.success)
    : Result.fail(
      invalid("location", "The challenge's resource_metadata must be an https URL at the origin of the resource")
    )
}

const lookUp = Effect.fnUntraced(function*(
  options: DiscoveryOptions,
  rules: FetchRules
): Effect.fn.Return<DiscoveredResource, KeelsonError.NetworkError> {
  const resource = new URL(options.resource)
  const challenge = yield* askForChallenge(resource, rules)
  const places = challenge?.resourceMetadata === undefined
    ? [...new Set(metadataPaths(resource))].map((path) => new URL(path, resource))
    : [yield* Effect.fromResult(namedPlace(challenge.resourceMetadata, resource, options))]
  const document = yield* fetchFirst(places, rules)
  if (document === undefined) {
    return yield* Effect.fail(invalid("missing", "The resource has no metadata at its well-known places"))
  }
  const found = yield* Effect.fromResult(checkResource(document, options.resource, options.issuers))
  const server = yield* fetchFirst(serverPlaces(found.issuer), rules)
  if (server === undefined) {
    return yield* Effect.fail(invalid("missing", "The authorization server has no metadata at its well-known places"))
  }
  return {
    resource: options.resource,
    issuer: found.issuer,
    tokenEndpoint: yield* Effect.fromResult(checkServer(server, found.issuer, options, yield* UsesMutualTls)),
    scopes: challenge !== undefined && challenge.scopes.length > 0 ? challenge.scopes : found.scopes,
    metadata: document,
    server
  }
})

/**
 * Makes a discovery. The first run of `discover` sends the first request: without a token to the resource, whose challenge names
 * its metadata; else to the well-known places of RFC 9728; then to those of the authorization server (RFC 8414, OpenID Connect).
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (A resource that cannot be reached)
 *
 * ```ts import.meta.vitest
 * import { FetchEgress } from "@keelson/jwks"
 * import { ResourceDiscovery } from "@keelson/token"
 * import { Effect } from "effect"
 *
 * const discovery = ResourceDiscovery.make({
 *   resource: "https://10.0.0.1/mcp",
 *   issuers: ["https://idp.example"]
 * })
 * const error = await Effect.runPromise(
 *   discovery.pipe(
 *     Effect.flatMap(({ discover }) => Effect.flip(discover)),
 *     Effect.provide(FetchEgress.layer({ unverifiedAddresses: true }))
 *   )
 * )
 * error.details["reason"] // => "address"
 * ```
 */
export const make = Effect.fnUntraced(function*(
  input: Options
): Effect.fn.Return<ResourceDiscovery, KeelsonError.ConfigurationError, Egress> {
  const options = yield* Configuration.decode(DiscoveryOptions)(input)
  const egress = yield* Egress
  const rules: FetchRules = { egress, maxBytes: options.maxBytes, timeout: options.requestTimeout }
  const semaphore = Semaphore.makeUnsafe(1)
  const lifetime = Duration.toMillis(options.lifetime)
  let found: { readonly resource: DiscoveredResource; readonly expiresAt: Instant } | undefined
  const current = (clock: Clock.Clock) =>
    found !== undefined && !hasCome(found.expiresAt, clock) ? found.resource : undefined
  const discover = Effect.flatMap(Clock.Clock, (clock) => {
    const known = current(clock)
    if (known !== undefined) return Effect.succeed(known)
    return semaphore.withPermits(1)(Effect.suspend(() => {
      const other = current(clock)
      if (other !== undefined) return Effect.succeed(other)
      const startedAt = now(clock)
      return Effect.map(lookUp(options, rules), (resource) => {
        found = { resource, expiresAt: after(startedAt, lifetime) }
        return resource
      })
    }))
  })
  return {
    discover,
    expire: () => {
      found = undefined
    }
  }
})

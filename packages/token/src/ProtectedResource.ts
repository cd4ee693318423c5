/**
 * Serves the metadata of a protected resource, by which clients find its authorization servers, and names them in the challenges
 * of `HttpSecurity`.
 *
 * @see RFC 9728
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ClientKey, SigningAlgorithm } from "./ClientAuth.ts"
import { CurrentResource } from "./internal/http/currentResource.ts"
import { ScopeText } from "./internal/http/scopeSchema.ts"
import { isIssuer } from "./internal/oauth/endpoints.ts"
import { type Document, documentOf } from "./internal/resource/document.ts"
import { addMetadataRoutes } from "./internal/resource/metadataRoutes.ts"
import { signDocument } from "./internal/resource/signDocument.ts"
import { metadataPaths } from "./internal/resource/wellKnown.ts"

/** Options of a protected resource. All except `resource` and `authorizationServers` may be left out. */
export interface Options {
  /**
   * The resource's identifier: the https URL under which clients reach the API, which is also the audience of its tokens (RFC
   * 8707). Without user, query and fragment; its path has letters, digits and `-._~/` only. From 1 to 2048 characters. Required.
   */
  readonly resource: string
  /** The issuers of the authorization servers whose tokens the API accepts. From 1 to 16 issuers. Required. */
  readonly authorizationServers: ReadonlyArray<string>
  /**
   * The scopes that basic use of the API needs: `scopes_supported`, and the `scope` of the challenge to a caller without a valid
   * token. Scopes that only some operations need do not belong here: their 403 names them. At most 64 scopes. Default none.
   */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** The API's name for end users. From 1 to 256 characters. Default none. */
  readonly name?: string | undefined
  /** The URL of a page for developers. From 1 to 2048 characters. Default none. */
  readonly documentation?: string | undefined
  /** The URL of a page about how clients may use the API's data. From 1 to 2048 characters. Default none. */
  readonly policy?: string | undefined
  /** The URL of the terms of service. From 1 to 2048 characters. Default none. */
  readonly terms?: string | undefined
  /** The algorithms of DPoP proofs that the API accepts (RFC 9449). At most 16, each from 1 to 32 characters. Default none. */
  readonly dpopAlgorithms?: ReadonlyArray<string> | undefined
  /** Whether the API accepts only tokens that are bound by DPoP. Default false. */
  readonly dpopRequired?: boolean | undefined
  /** Whether the API accepts tokens that are bound to a client certificate (RFC 8705). Default false. */
  readonly certificateBound?: boolean | undefined
  /** How long caches may keep the metadata. From 0 millis to 24 hours. Default 1 hour. */
  readonly lifetime?: Field.DurationInput | undefined
  /**
   * Whether the metadata are also served without the resource's path, where clients look second. Only one resource of an origin
   * can have that place: with a second one the server does not start. Default true.
   */
  readonly atRoot?: boolean | undefined
  /** Whether the URLs may use http for this machine. `LocalDevelopment` changes the default. Default false. */
  readonly allowLocalhost?: boolean | undefined
}

const expectedServers = "a list of 1 to 16 issuers"
const atMost = (count: number, things: string) =>
  Schema.isMaxLength(count, { expected: `a list of at most ${count} ${things}` })

const Fields = Schema.Struct({
  resource: Field.text(1, 2048),
  authorizationServers: Schema.Array(Field.text(1, 2048)).check(
    Schema.isMinLength(1, { expected: expectedServers }),
    Schema.isMaxLength(16, { expected: expectedServers })
  ),
  scopes: Field.defaulted(Schema.Array(ScopeText).check(atMost(64, "scopes")), []),
  name: Schema.optionalKey(Field.text(1, 256)),
  documentation: Schema.optionalKey(Field.text(1, 2048)),
  policy: Schema.optionalKey(Field.text(1, 2048)),
  terms: Schema.optionalKey(Field.text(1, 2048)),
  dpopAlgorithms: Field.defaulted(Schema.Array(Field.text(1, 32)).check(atMost(16, "algorithms")), []),
  dpopRequired: Field.defaulted(Schema.Boolean, false),
  certificateBound: Field.defaulted(Schema.Boolean, false),
  lifetime: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.hours(1)),
  atRoot: Field.defaulted(Schema.Boolean, true),
  allowLocalhost: Field.allowLocalhost()
})
type Fields = typeof Fields.Type

/** The path becomes a route: its characters must have no meaning there, and only one spelling. */
const plainPath = /^[\w.~/-]*$/

/** A resource must be written as it is compared: character by character (RFC 9728, 3.3). */
const isResource = (text: string, options: SafeUrl.Options): boolean => {
  const url = Result.getOrUndefined(SafeUrl.check(text, options))
  return url !== undefined && !/[?#\s]/.test(text) && plainPath.test(url.pathname) && !url.pathname.includes("//") &&
    (url.href === text || url.href === `${text}/`)
}

const isResourceUrl = Schema.makeFilter((o: Fields) =>
  isResource(o.resource, o) || {
    path: ["resource"],
    issue:
      `an https URL in canonical form, without user, query and fragment, whose path has letters, digits and -._~/ ` +
      `only; ${SafeUrl.localHint}`
  }
)
const areIssuers = Schema.makeFilter((o: Fields) => {
  const index = o.authorizationServers.findIndex((issuer) => !isIssuer(issuer, o))
  return index < 0 || {
    path: ["authorizationServers", index],
    issue: `an https URL without user, query and fragment; ${SafeUrl.localHint}`
  }
})
const pages = ["documentation", "policy", "terms"] as const

const arePages = Schema.makeFilter((o: Fields) => {
  const name = pages.find((page) => o[page] !== undefined && Result.isFailure(SafeUrl.check(o[page], o)))
  return name === undefined || { path: [name], issue: "an https URL" }
})

/** Checked options of a protected resource. */
export const ResourceOptions = Fields.check(isResourceUrl, areIssuers, arePages)
export type ResourceOptions = typeof ResourceOptions.Type

const decoders = Decoders.decoders<Options, typeof ResourceOptions>(ResourceOptions)

/** How metadata are signed (RFC 9728, 2.2). */
export interface Signature {
  /** The key. Required. */
  readonly key: ClientKey
  /** The signature algorithm of the key. Required. */
  readonly alg: SigningAlgorithm
  /** The `iss` of the signed metadata, which clients must trust. Default: the resource. */
  readonly issuer?: string | undefined
}

/** Options of `layer`. */
export interface LayerOptions extends Options {
  /** Signs the metadata when the layer is built. Default none. */
  readonly signature?: Signature | undefined
}

/** The metadata of a resource, for servers other than Effect's. */
export interface ProtectedResource {
  /** The URL of the metadata, for the option `resourceMetadata` of `BearerAuthentication` and for challenges. */
  readonly url: string
  /** The paths to serve them at: one or two. */
  readonly paths: ReadonlySet<string>
  /** The metadata, as JSON with the content type `application/json`. */
  readonly document: Document
}

const resourceOf = (options: ResourceOptions): ProtectedResource => {
  const url = new URL(options.resource)
  const [own, root] = metadataPaths(url)
  return {
    url: `${url.origin}${own}`,
    paths: new Set(options.atRoot ? [own, root] : [own]),
    document: documentOf(options)
  }
}

/**
 * Returns the metadata of a resource, and where to serve them, for servers other than Effect's.
 *
 * Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (Metadata of an API below a path)
 *
 * ```ts import.meta.vitest
 * import { ProtectedResource } from "@keelson/token"
 *
 * const files = ProtectedResource.make({
 *   resource: "https://api.example/files",
 *   authorizationServers: ["https://idp.example"],
 *   scopes: ["files:read"]
 * })
 * files.url // => "https://api.example/.well-known/oauth-protected-resource/files"
 * files.document["scopes_supported"] // => ["files:read"]
 * ```
 */
export const make = (options: Options): ProtectedResource => resourceOf(decoders.make(options))

/**
 * Serves the metadata at both well-known places, for an `HttpRouter` and an `HttpApi`, to pages of any origin. The challenges of
 * each `HttpSecurity` and `BearerAuthentication` that it is provided to name the metadata's URL and the resource's scopes:
 * `HttpSecurity.layer(…).pipe(Layer.provide(ProtectedResource.layer({ resource, authorizationServers, scopes })))`.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`, or `KEY_INVALID` if the key of `signature` cannot sign).
 */
export const layer = (
  { signature, ...input }: LayerOptions
): Layer.Layer<never, KeelsonError.ConfigurationError, HttpRouter.HttpRouter> =>
  Layer.effect(
    CurrentResource,
    Effect.gen(function*() {
      const options = yield* decoders.decode(input)
      const { document, paths, url } = resourceOf(options)
      const served = signature === undefined ? document : yield* signDocument(document, signature)
      yield* addMetadataRoutes(served, paths, options.lifetime)
      return { resourceMetadata: url, ...(options.scopes.length === 0 ? undefined : { scopes: options.scopes }) }
    })
  )

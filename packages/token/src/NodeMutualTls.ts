/**
 * HTTP clients with a certificate on Node, for mutual TLS (RFC 8705): to authenticate to an authorization server, and to use
 * access tokens that are bound to the certificate.
 *
 * Certificate and key are files. They are read again after they changed: requests then use new connections with the new
 * certificate, and the requests that are running end with the old one. If new files cannot be used, the certificate in use
 * stays, with a warning.
 */
import type * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { versions } from "node:process"
import { UsesMutualTls } from "./internal/mtls/certificateUse.ts"
import { clientCertificate } from "./internal/mtls/NodeClientCertificate.ts"
import { fetchThrough } from "./internal/mtls/NodeFetch.ts"
import { TokenHttpClient } from "./TokenHttpClient.ts"

/** The options of a client with a certificate. */
export interface Options {
  /** The path of a PEM file with the certificate, and after it the authorities between it and the root. Required. */
  readonly certFile: string
  /** The path of a PEM file with the private key of the certificate. Required. */
  readonly keyFile: string
  /** The passphrase of an encrypted private key. From 1 to 1024 characters. Default none. */
  readonly passphrase?: Redacted.Redacted | undefined
  /**
   * The path of a PEM file of certificate authorities to trust in addition to those of Node, for the certificates of servers. At
   * least 1 character. Default none.
   */
  readonly caFile?: string | undefined
  /**
   * How long the files are not checked for changes after a check. A request checks them, so that nothing runs while there are
   * none. From 1 second to 1 hour. Default 1 minute.
   */
  readonly checkInterval?: Field.DurationInput | undefined
}

/** Checked options of a client with a certificate. */
export const MutualTlsOptions = Schema.Struct({
  certFile: Schema.NonEmptyString,
  keyFile: Schema.NonEmptyString,
  passphrase: Schema.optionalKey(Schema.RedactedFromValue(Field.text(1, 1024), { label: "passphrase" })),
  caFile: Schema.optionalKey(Schema.NonEmptyString),
  checkInterval: Field.defaulted(Field.duration("1 second", "1 hour"), Duration.minutes(1))
})
export type MutualTlsOptions = typeof MutualTlsOptions.Type

const decoders = Decoders.decoders<Options, typeof MutualTlsOptions>(MutualTlsOptions)

/** Bun replaces `undici` with its own implementation, which ignores the certificate. */
const unsupported = () =>
  InvalidConfig.option("NodeMutualTls", "on Node", { message: "NodeMutualTls cannot send certificates on Bun" })

const make = Effect.fnUntraced(function*(
  options: MutualTlsOptions
): Effect.fn.Return<HttpClient.HttpClient, KeelsonError.ConfigurationError, Scope.Scope> {
  if ("bun" in versions) return yield* unsupported()
  const undici = yield* Effect.promise(() => import("undici"))
  const sendThrough = yield* clientCertificate(options, undici)
  const client = Context.get(yield* Layer.build(FetchHttpClient.layer), HttpClient.HttpClient)
  return HttpClient.transformResponse(
    client,
    (response) =>
      sendThrough((dispatcher) =>
        Effect.provideService(response, FetchHttpClient.Fetch, fetchThrough(undici, dispatcher))
      )
  )
})

/** The client of token requests, and that it has a certificate. */
const tokenClient = (client: HttpClient.HttpClient) =>
  Context.empty().pipe(Context.add(TokenHttpClient, client), Context.add(UsesMutualTls, true))

/**
 * Provides one client with a certificate for the requests of guards and for their token requests, as tokens that are bound to the
 * certificate need it (RFC 8705, 3). It follows no redirect itself. A guard's request that a redirect leads to another origin is
 * sent without the certificate.
 *
 * Token requests go to the `mtls_endpoint_aliases` of the metadata, if there are any (RFC 8705, 5).
 *
 * Fails with `ConfigurationError`: `KEY_FILE_UNREADABLE` with the `path` of a file that cannot be read; `KEY_INVALID` for files
 * that are no certificate, or no key of it; `INVALID_CONFIG` for an invalid option, and on Bun, which ignores certificates.
 *
 * **Example** (A guard with a client certificate)
 *
 * ```ts import.meta.vitest
 * import { ClientAuth, OAuthClient, TokenGuard } from "@keelson/token"
 * import * as NodeMutualTls from "@keelson/token/NodeMutualTls"
 * import { Layer } from "effect"
 *
 * class Billing extends TokenGuard.Service<Billing>()("app/Billing") {}
 * const billing = Billing.layer({
 *   origins: ["https://billing.example"],
 *   source: OAuthClient.clientCredentials({
 *     issuer: "https://idp.example",
 *     clientId: "app",
 *     auth: ClientAuth.certificate
 *   })
 * })
 *
 * const files = { certFile: "/run/tls/tls.crt", keyFile: "/run/tls/tls.key" }
 * const live = Layer.provide(billing, NodeMutualTls.layer(files))
 * Layer.isLayer(live) // => true
 * ```
 */
export const layer = (options: Options): Layer.Layer<HttpClient.HttpClient, KeelsonError.ConfigurationError> =>
  layerOf(decoders.decode(options))

/** `layer` with options from the environment, below a path; see `Configuration.fromEnvironment`. Fails as `layer` does. */
export const layerConfig = (
  path: Configuration.Path
): Layer.Layer<HttpClient.HttpClient, KeelsonError.ConfigurationError> => layerOf(decoders.config(path))

const layerOf = (options: Effect.Effect<MutualTlsOptions, KeelsonError.ConfigurationError>) =>
  Layer.effectContext(
    Effect.map(
      Effect.flatMap(options, make),
      (client) => Context.add(tokenClient(client), HttpClient.HttpClient, client)
    )
  )

/**
 * Provides the certificate to token requests alone: to authenticate with it (RFC 8705, 2) for APIs that do not use mutual TLS. Fails
 * as `layer` does.
 */
export const layerTokenHttpClient = (options: Options): Layer.Layer<never, KeelsonError.ConfigurationError> =>
  Layer.effectContext(Effect.map(Effect.flatMap(decoders.decode(options), make), tokenClient))

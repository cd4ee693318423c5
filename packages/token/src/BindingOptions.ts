/**
 * Options of an API whose tokens are bound to a key of the caller: to a DPoP key, or to a client certificate.
 *
 * @see RFC 9449; RFC 8705, 3
 */
import * as Field from "@keelson/core/unstable/Field"
import { networkOf } from "@keelson/core/unstable/Networks"
import * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { normalizeUri } from "./internal/dpop/targetUri.ts"

/** Whether tokens are bound: never, where the authorization server binds them, or always. */
export const Mode = Schema.Literals(["off", "allowed", "required"])
export type Mode = typeof Mode.Type

/** An algorithm of proofs. Symmetric algorithms would need a shared secret. */
export const ProofAlgorithm = Schema.Literals([
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
  "PS256",
  "PS384",
  "PS512",
  "RS256",
  "RS384",
  "RS512"
])
export type ProofAlgorithm = typeof ProofAlgorithm.Type

/** The options of DPoP proofs. Every one may be left out. */
export interface DPoPOptions {
  /** Whether tokens are bound to a DPoP key, as in the option `dpop` of an API. Default required. */
  readonly mode?: Mode | undefined
  /** The algorithms of proofs, which challenges list. From 1 to 11 algorithms. Default ES256, EdDSA, Ed25519, PS256, RS256. */
  readonly algorithms?: ReadonlyArray<ProofAlgorithm> | undefined
  /** How long after its `iat` a proof is accepted. From 1 second to 10 minutes. Default 1 minute. */
  readonly maxAge?: Field.DurationInput | undefined
  /** How far the clocks of clients may differ. From 0 millis to 5 minutes. Default 30 seconds. */
  readonly clockTolerance?: Field.DurationInput | undefined
  /**
   * Whether proofs must have a nonce of this API (RFC 9449, 9): `required` answers a proof without a current nonce with a 401 and a
   * new nonce. It limits proofs that were made in advance, and costs clients one more request at the start. Default off.
   */
  readonly nonce?: "off" | "required" | undefined
  /** How long a nonce is given out. It is accepted for up to twice as long. From 10 seconds to 1 hour. Default 5 minutes. */
  readonly noncePeriod?: Field.DurationInput | undefined
  /**
   * The secret that nonces are made with, the same for all processes of an API. Without it, each process makes a random one. From
   * 32 to 1024 characters. Default none.
   */
  readonly nonceKey?: Redacted.Redacted | undefined
}

/**
 * Checked options of DPoP proofs.
 *
 * **Example** (Checked options)
 *
 * ```ts import.meta.vitest
 * import { Configuration } from "@keelson/core"
 * import { BindingOptions } from "@keelson/token"
 * import { Effect } from "effect"
 *
 * const options = await Effect.runPromise(Configuration.decode(BindingOptions.DPoP)({ nonce: "required" }))
 * options.algorithms // => ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"]
 * ```
 */
export const DPoP = Schema.Struct({
  mode: Field.defaulted(Mode, "required"),
  algorithms: Field.defaulted(
    Schema.Array(ProofAlgorithm).check(
      Schema.isMinLength(1, { expected: "a list of 1 to 11 algorithms" }),
      Schema.isMaxLength(11, { expected: "a list of 1 to 11 algorithms" })
    ),
    ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"]
  ),
  maxAge: Field.defaulted(Field.duration("1 second", "10 minutes"), Duration.minutes(1)),
  clockTolerance: Field.defaulted(Field.duration("0 millis", "5 minutes"), Duration.seconds(30)),
  nonce: Field.defaulted(Schema.Literals(["off", "required"]), "off"),
  noncePeriod: Field.defaulted(Field.duration("10 seconds", "1 hour"), Duration.minutes(5)),
  nonceKey: Schema.optionalKey(Schema.RedactedFromValue(Field.text(32, 1024), { label: "nonceKey" }))
})
export type DPoP = typeof DPoP.Type

/** The options of a header that contains the client certificate. */
export interface CertificateHeaderOptions {
  /**
   * The header's name, such as `Client-Cert`. The proxy must remove it from the requests of clients. From 1 to 128 characters
   * without spaces and separators. Required.
   */
  readonly name: string
  /**
   * The addresses from which the proxies connect, or their networks in CIDR notation. The header is ignored in requests from any
   * other address. From 1 to 64 addresses or networks. Required.
   */
  readonly proxies: ReadonlyArray<string>
  /**
   * The form of the certificate: `rfc9440` is that of `Client-Cert` (RFC 9440); `pem` is percent-encoded PEM, as of nginx
   * (`$ssl_client_escaped_cert`), AWS load balancers and Traefik; `xfcc` is the header `X-Forwarded-Client-Cert` of Envoy. Default
   * rfc9440.
   */
  readonly format?: "rfc9440" | "pem" | "xfcc" | undefined
}

/** The options of client certificates. Every one may be left out. */
export interface MtlsOptions {
  /** Whether tokens are bound to a client certificate, as in the option `mtls` of an API. Default required. */
  readonly mode?: Mode | undefined
  /**
   * The header in which a proxy that ends TLS sends the client certificate. Without it, the certificate is that of the TLS
   * connection, for which the server must request one (`requestCert`). Default none.
   */
  readonly header?: CertificateHeaderOptions | undefined
}

const Network = Schema.String.check(
  Schema.makeFilter((text: string) => networkOf(text) !== undefined, {
    expected: "an address, or a network in CIDR notation without host bits"
  })
)

const entries = (expected: string) =>
  [
    Schema.isMinLength(1, { expected }),
    Schema.isMaxLength(64, { expected })
  ] as const

/** Checked options of a header with a certificate. */
export const CertificateHeader = Schema.Struct({
  name: Schema.String.check(
    Schema.isPattern(/^[!#$%&'*+.^_`|~\w-]{1,128}$/, {
      expected: "the name of a header, from 1 to 128 characters without spaces and separators"
    })
  ),
  proxies: Schema.Array(Network).check(...entries("a list of 1 to 64 addresses or networks")),
  format: Field.defaulted(Schema.Literals(["rfc9440", "pem", "xfcc"]), "rfc9440")
})
export type CertificateHeader = typeof CertificateHeader.Type

/** Checked options of client certificates. */
export const Mtls = Schema.Struct({
  mode: Field.defaulted(Mode, "required"),
  header: Schema.optionalKey(CertificateHeader)
})
export type Mtls = typeof Mtls.Type

/** The URLs of an API. */
const BaseUrls = Schema.Array(
  Schema.String.check(
    Schema.makeFilter((text: string) => /^[^?#]{1,2048}$/.test(text) && normalizeUri(text) !== undefined, {
      expected: "an http or https URL without query, fragment and user information, as https://api.example"
    })
  )
).check(...entries("a list of 1 to 64 URLs"))

/** Whether the tokens of an API are bound. Every option may be left out. */
export interface Options {
  /**
   * Whether tokens are bound to a DPoP key (RFC 9449): `off` rejects bound tokens, `allowed` requires a proof for bound tokens and
   * also accepts bearer tokens, `required` rejects tokens that are not bound; or all options of proofs. Needs `baseUrls`.
   * Default off.
   */
  readonly dpop?: Mode | DPoPOptions | undefined
  /**
   * Whether tokens are bound to a client certificate (RFC 8705, 3): `off` rejects bound tokens, `allowed` requires the
   * certificate for bound tokens and also accepts others, `required` rejects tokens that are not bound; or all options of
   * certificates. Default off.
   */
  readonly mtls?: Mode | MtlsOptions | undefined
  /**
   * The URLs by which clients reach the API: its origin, and the part of the path that a proxy removes. DPoP proofs have to be for
   * one of these. The header `Host` is not used, since the client chooses it. From 1 to 64 URLs. Default none.
   */
  readonly baseUrls?: ReadonlyArray<string> | undefined
  /**
   * Whether a token has to be bound in one of the ways that are not `off`: for an API that allows both and no bearer tokens.
   * Default false.
   */
  readonly requireBinding?: boolean | undefined
  /**
   * What happens to a token that is bound (`cnf`) in a way that is `off` or unknown: `refuse` rejects it, since whoever stole it
   * could use it; `ignore` accepts it as if it were not bound. Default refuse.
   */
  readonly unsupportedBinding?: "refuse" | "ignore" | undefined
}

/** Checked options of an API. */
export const BindingOptions = Schema.Struct({
  dpop: Field.defaulted(Schema.Union([Mode, DPoP]), "off"),
  mtls: Field.defaulted(Schema.Union([Mode, Mtls]), "off"),
  baseUrls: Schema.optionalKey(BaseUrls),
  requireBinding: Field.defaulted(Schema.Boolean, false),
  unsupportedBinding: Field.defaulted(Schema.Literals(["refuse", "ignore"]), "refuse")
})
export type BindingOptions = typeof BindingOptions.Type

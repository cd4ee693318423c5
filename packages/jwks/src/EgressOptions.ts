/**
 * The rules of a service that fetches key material: checked data from code, a file or the environment.
 *
 * There is none that turns certificate verification off.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as HostName from "@keelson/core/unstable/Host"
import type * as Effect from "effect/Effect"
import * as IpNetwork from "effect/net/IpNetwork"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** The base64 of the SHA-256 digest of a public key (SPKI, RFC 7469, 2.4): 32 bytes, padded, with no unused bit set. */
export const Pin = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/, { expected: "the base64 of a SHA-256 digest, 32 bytes" })
)
export type Pin = typeof Pin.Type

/** A host name, or an address with or without brackets: what a list of allowed hosts is made of. */
export const Host = Schema.String.check(
  Schema.makeFilter((host: string) => HostName.canonical(host) !== undefined, {
    expected: "a host name or address, without pattern, scheme and port"
  })
)

const Network = Schema.String.check(
  Schema.makeFilter((cidr: string) => Result.isSuccess(IpNetwork.fromString(cidr)), {
    expected: "a network in CIDR notation, without host bits"
  })
)

/** The fields of any egress. */
export const fields = {
  /**
   * Hosts that may be asked, each with all hosts below it, in any case and with or without a dot at the end;
   * international names as they are or as A-labels. An empty list allows all. Default none.
   */
  allowedHosts: Field.defaulted(Schema.Array(Host), []),
  /**
   * Whether `localhost`, 127.0.0.0/8 and ::1 may be asked, also over http. Other hosts don't get these addresses by it.
   * Default false.
   */
  allowLocalhost: Field.defaulted(Schema.Boolean, false),
  /**
   * Networks in CIDR notation whose addresses may be connected to though they are private, link-local or otherwise
   * special. IPv6 that carries IPv4 is judged by what it carries. The unspecified addresses, multicast and broadcast stay
   * refused. Default none.
   */
  allowedNetworks: Field.defaulted(Schema.Array(Network), []),
  /** The most bytes of a body, after decompression. From 1 to 16777216. Default 1048576. */
  maxBytes: Field.defaulted(Field.int(1, 16_777_216), 1_048_576),
  /** The most redirects that are followed. From 0 to 10. Default 3. */
  maxRedirects: Field.defaulted(Field.int(0, 10), 3)
}

/** Checked options of any egress. */
export const EgressOptions = Schema.Struct(fields)
export type EgressOptions = typeof EgressOptions.Type

/** Options as code gives them: each may be left out. */
export type Partially<A> = { readonly [K in keyof A]?: A[K] | undefined }

/** What `make` takes. */
export type Options = Partially<EgressOptions>

/** Options from code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const make = (options: Options = {}): EgressOptions => decodeUnsafe(options)
const decodeUnsafe = Configuration.decodeUnsafe(EgressOptions)

/** Options from a plain object. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const decode: (input: unknown) => Effect.Effect<EgressOptions, KeelsonError.ConfigurationError> = Configuration
  .decode(EgressOptions)

/** Options from a section of JSON or YAML text; see `Configuration.decodeText`. */
export const decodeText = (input: Configuration.Text): Effect.Effect<EgressOptions, KeelsonError.ConfigurationError> =>
  Configuration.decodeText(EgressOptions, input)

/** Options from the environment, below a path; see `Configuration.fromEnvironment`. */
export const config = (path: Configuration.Path): Effect.Effect<EgressOptions, KeelsonError.ConfigurationError> =>
  Configuration.fromEnvironment(EgressOptions, path)

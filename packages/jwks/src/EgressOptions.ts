/**
 * The options that every egress has: checked data from code, a file or the environment.
 *
 * No option turns certificate verification off.
 */
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as HostName from "@keelson/core/unstable/Host"
import * as IpNetwork from "effect/net/IpNetwork"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { isPublic } from "./internal/egress/addresses.ts"
import { Host } from "./internal/egress/hostSchemas.ts"
import { areHeadersLimited } from "./internal/egress/optionChecks.ts"

/** An entry of a list of hosts that may be requested over http: a host, but not a public address. */
export const InsecureHost = Host.check(
  Schema.makeFilter((host: string) => {
    const address = HostName.literal(HostName.canonical(host) ?? "")
    return address === undefined || !isPublic(address)
  }, { expected: "a host name or a private address: requests to public addresses need https" })
)

const Network = Schema.String.check(
  Schema.makeFilter((cidr: string) => Result.isSuccess(IpNetwork.fromString(cidr)), {
    expected: "a network in CIDR notation, without host bits"
  })
)

/** Names of headers that would change how a message is read, sent or cached, or that the egress sets itself. */
const reserved =
  /^(?:connection|content-.*|cookie2?|expect|host|if-.*|keep-alive|proxy-.*|range|te|trailer|transfer-encoding|upgrade|accept-encoding|cache-control|pragma)$/i

const HeaderName = Schema.String.check(
  Schema.makeFilter((name: string) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/.test(name) && !reserved.test(name), {
    expected: "the name of a header that is not reserved, such as authorization"
  })
)
const headerText = (maximum: number) =>
  Schema.String.check(
    Schema.isPattern(/^[\t\x20-\x7e\x80-\xff]*$/, { expected: "text without line breaks" }),
    Schema.isMinLength(1, { expected: "text without line breaks" }),
    Schema.isMaxLength(maximum, { expected: `text of at most ${maximum} characters` })
  )

/** The options of every egress. Each may be left out. */
export interface Options {
  /**
   * Hosts that requests may be sent to, each with all its subdomains; case and a trailing dot do not matter, and
   * international names may be written in Unicode or as A-labels. An empty list allows every host. Default none.
   */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
  /**
   * Whether requests may be sent to `localhost`, 127.0.0.0/8 and ::1, also over http. Other hosts may not resolve to
   * these addresses even then. `LocalDevelopment` changes the default. Default false.
   */
  readonly allowLocalhost?: boolean | undefined
  /**
   * Networks in CIDR notation whose addresses are allowed although they are private, link-local or otherwise special.
   * IPv6 addresses that embed IPv4 are checked by the embedded address. The unspecified addresses, multicast and
   * broadcast stay refused. Default none.
   */
  readonly allowedNetworks?: ReadonlyArray<string> | undefined
  /**
   * Hosts that may be requested over http, for a network without TLS, as between containers. Each entry is one host, without
   * its subdomains. Over http `NodeEgress` connects to private and loopback addresses of these hosts only, never to public
   * ones, and not through a proxy. `FetchEgress` cannot check that, and needs `unverifiedAddresses`. The hosts are logged at
   * the start. Default none.
   */
  readonly insecureHosts?: ReadonlyArray<string> | undefined
  /**
   * Headers to send with each request, as `authorization` or an API key. They are not sent after a redirect to another
   * origin, and need `allowedHosts`: each of these hosts receives them. Names that concern the message itself, as `host` and
   * `content-length`, are refused. Values have 1 to 8192 characters. Not from environment variables. Default none.
   */
  readonly headers?: { readonly [name: string]: Redacted.Redacted | undefined } | undefined
  /** The `User-Agent`. Without it the platform sends its own. From 1 to 256 characters. Default none. */
  readonly userAgent?: string | undefined
  /** Upper bound of a response body after decompression, in bytes. From 1 to 16777216. Default 1048576. */
  readonly maxBytes?: number | undefined
  /** How many redirects are followed. From 0 to 10. Default 3. */
  readonly maxRedirects?: number | undefined
}

/** Checked options of any egress. */
export const EgressOptions = Schema.Struct({
  allowedHosts: Field.defaulted(Schema.Array(Host), []),
  allowLocalhost: Field.allowLocalhost(),
  allowedNetworks: Field.defaulted(Schema.Array(Network), []),
  insecureHosts: Field.defaulted(Schema.Array(InsecureHost), []),
  headers: Field.defaulted(
    Schema.Record(HeaderName, Schema.RedactedFromValue(headerText(8_192), { label: "header" })),
    {}
  ),
  userAgent: Schema.optionalKey(headerText(256)),
  maxBytes: Field.defaulted(Field.int(1, 16_777_216), 1_048_576),
  maxRedirects: Field.defaulted(Field.int(0, 10), 3)
}).check(areHeadersLimited)
export type EgressOptions = typeof EgressOptions.Type

const fromCode = Decoders.maker<Options, typeof EgressOptions>(EgressOptions)

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (Rules of a service)
 *
 * ```ts import.meta.vitest
 * import { EgressOptions } from "@keelson/jwks"
 *
 * const options = EgressOptions.make({ allowedHosts: ["idp.example"] })
 * options.maxRedirects // => 3
 * ```
 */
export const make: (options?: Options) => EgressOptions = fromCode

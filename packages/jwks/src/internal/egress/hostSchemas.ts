import * as HostName from "@keelson/core/unstable/Host"
import * as Schema from "effect/Schema"

/** The base64 SHA-256 digest of a public key (SPKI, RFC 7469, 2.4): 32 bytes, padded, with all unused bits zero. */
export const Pin = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/, { expected: "the base64 of a SHA-256 digest, 32 bytes" })
)

/** An entry of a list of allowed hosts: a host name, or an address with or without brackets. */
export const Host = Schema.String.check(
  Schema.makeFilter((host: string) => HostName.canonical(host) !== undefined, {
    expected: "a host name or address, without pattern, scheme or port"
  })
)

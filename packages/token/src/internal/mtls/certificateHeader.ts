/**
 * Reads the client certificate that a proxy sends in a header.
 *
 * @see RFC 9440, 2.1 and 2.2; RFC 8941, 3.3.5
 */
import * as Result from "effect/Result"
import type { CertificateHeader } from "../../BindingOptions.ts"
import { makeBytes } from "../validation/platform.ts"

/** A certificate: its bytes in DER, or their SHA-256 in base64url where the header has only that. */
export type Certificate = { readonly der: Uint8Array<ArrayBuffer> } | { readonly thumbprint: string }

/** A byte sequence without parameters. */
const byteSequence = /^:([A-Za-z\d+/]+={0,2}):$/
/** The lines around a certificate, which some proxies leave out. */
const [begin, end] = ["-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"]
const base64 = /^[A-Za-z\d+/]+={0,2}$/
/** One field of an element in the header of Envoy, and what ends it. */
const field = /([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^;,"]*)(;|,|$)/y
const sha256 = /^[\dA-Fa-f]{64}$/

const decode = (text: string): Certificate | undefined => {
  if (!base64.test(text)) return undefined
  const bytes = makeBytes === undefined
    ? Result.getOrUndefined(Result.try(() => Uint8Array.from(atob(text), (character) => character.charCodeAt(0))))
    : makeBytes.from(text, "base64url")
  return bytes === undefined ? undefined : { der: bytes }
}

/** One certificate. With several, text that is not base64 is between them. */
const fromPem = (text: string): Certificate | undefined => {
  const decoded = (Result.getOrUndefined(Result.try(() => decodeURIComponent(text))) ?? "").trim()
  const isWhole = decoded.startsWith(begin) && decoded.endsWith(end)
  return decode((isWhole ? decoded.slice(begin.length, -end.length) : decoded).replaceAll(/\s/g, ""))
}

const encodeHex = (hex: string): string => {
  const pairs = hex.match(/../g) ?? []
  const binary = String.fromCharCode(...pairs.map((pair) => Number.parseInt(pair, 16)))
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
}

/** The hash in the only element. Several are those of several proxies, and which of these the caller wrote is unknown. */
const fromEnvoy = (text: string): Certificate | undefined => {
  const hashes: Array<string> = []
  field.lastIndex = 0
  while (field.lastIndex < text.length) {
    const [, name, value = "", end] = field.exec(text) ?? []
    if (name === undefined || end === ",") return undefined
    if (name.toLowerCase() === "hash") hashes.push(value)
  }
  const [hash = "", another] = hashes
  return another === undefined && sha256.test(hash) ? { thumbprint: encodeHex(hash) } : undefined
}

/** The certificate in the value of a header; `undefined` for a value in another form. */
export const readCertificate = (
  text: string,
  { format }: Pick<CertificateHeader, "format">
): Certificate | undefined => {
  switch (format) {
    case "rfc9440":
      return decode(byteSequence.exec(text.trim())?.[1] ?? "")
    case "pem":
      return fromPem(text)
    case "xfcc":
      return fromEnvoy(text)
  }
}

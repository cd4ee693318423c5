import * as Base64 from "effect/encoding/Base64"
import * as Result from "effect/Result"
import { isSequence } from "../../unstable/Der.ts"

/** The supported PEM labels of public keys (RFC 7468, 5 and 13; RFC 8017 for PKCS#1). */
const labels = ["PUBLIC KEY", "CERTIFICATE", "RSA PUBLIC KEY"] as const
export type Label = (typeof labels)[number]

export interface Pem {
  readonly label: Label
  readonly der: Uint8Array
}

export const privateKey = "a public key: a private one verifies nothing, and does not belong here"
const malformed = "one PEM block with the label PUBLIC KEY, CERTIFICATE or RSA PUBLIC KEY, and nothing around it"

// Each part excludes the dash that terminates it, so that matching takes linear time.
const block = /^-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]+)-----END ([A-Z0-9 ]+)-----$/

/** Whether a text contains a PEM boundary anywhere, in any letter case and with any kind of dashes. */
export const hasBoundary = (text: string): boolean =>
  /-{4,}\s*(?:BEGIN|END)/i.test(text) ||
  /(?:BEGIN|END)[A-Z0-9\s]{0,24}(?:(?:PUBLIC|PRIVATE)\s*KEY|CERTIFICATE)/i.test(text)

const isPrivate = (text: string): boolean => /PRIVATE KEY/i.test(text)

/**
 * Parses the only block of a PEM text. Ignores a byte order mark and white space around the block, and the type of
 * line break: all are removed before the label and body are checked.
 *
 * Fails with a description of the expected text, which contains no part of the input.
 */
export const parsePem = (text: string): Result.Result<Pem, string> => {
  if (isPrivate(text)) return Result.fail(privateKey)
  const [, begin, body, end] = block.exec(text.trim()) ?? []
  const label = labels.find((label) => label === begin && label === end)
  if (label === undefined || body === undefined) return Result.fail(malformed)
  return Base64.decode(body.replaceAll(/\s/g, "")).pipe(
    Result.mapError(() => malformed),
    Result.filterOrFail(isSequence, () => malformed),
    Result.map((der) => ({ label, der }))
  )
}

/** Formats a block as PEM text for `jose`. */
export const formatPem = (label: Label, der: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${Base64.encode(der)}\n-----END ${label}-----`

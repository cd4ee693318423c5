/** A header's name: RFC 9110, 5.1. */
const token = /^[!#$%&'*+.^_`|~0-9a-z-]+$/

/** What a value may have, so that Node.js sends it and it cannot end a line: RFC 9110, 5.5. */
const text = /^[\t\x20-\x7e\x80-\xff]*$/

/** Whether a header can be sent as it is. The name is in lower case. */
export const isSendable = (name: string, value: string): boolean => token.test(name) && text.test(value)

/** Whether a value can be sent as it is. */
export const isValue = (value: string): boolean => text.test(value)

/**
 * Headers that never cross, whatever is configured: those of the connection (RFC 9110, 7.6.1), the length and form of messages,
 * credentials of either side, and cookies.
 */
const barred: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-authentication-info",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "host",
  "expect",
  "content-length",
  "authorization",
  "cookie",
  "cookie2",
  "set-cookie",
  "set-cookie2",
  "date",
  "server",
  "via",
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-amz-date",
  "x-amz-security-token",
  "x-amz-content-sha256",
  "x-amz-decoded-content-length",
  "x-amz-trailer",
  "x-amz-copy-source",
  "x-amz-expected-bucket-owner",
  "x-amz-request-payer",
  "x-amz-id-2",
  "x-amz-request-id"
])

/** Tells whether a name in lower case is one of a list, whose names may end with `*`. */
export type Lists = (name: string) => boolean

/** The rule of a list of names. What may never cross is in no list. */
export const listOf = (names: ReadonlyArray<string>): Lists => {
  const lower = names.map((name) => name.toLowerCase())
  const exact = new Set(lower.filter((name) => !name.endsWith("*")))
  const beginnings = lower.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1))
  return (name) => !barred.has(name) && (exact.has(name) || beginnings.some((beginning) => name.startsWith(beginning)))
}

/** The names that `Connection` lists: headers of this connection only (RFC 9110, 7.6.1). */
export const connectionNames = (connection: string | undefined): ReadonlySet<string> | undefined =>
  connection === undefined
    ? undefined
    : new Set(connection.toLowerCase().split(",").map((name) => name.trim()))

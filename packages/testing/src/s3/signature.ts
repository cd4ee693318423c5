/** Checks signatures of AWS Signature Version 4 as S3 does: in the headers, and in the query of a presigned URL. */
import { createHash, createHmac } from "node:crypto"
import type { IncomingHttpHeaders } from "node:http"

/** A request as it came: the path and the query are not decoded. */
export interface Signed {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
}

/** Who may send requests, and when. */
export interface Trust {
  /** The secret of each access key. */
  readonly secrets: ReadonlyMap<string, string>
  /** The session token that each access key must send. */
  readonly sessionTokens: ReadonlyMap<string, string>
  readonly region: string
  /** The time of the server, in milliseconds since 1970. */
  readonly now: () => number
}

/** Why a request is refused: the status, the code, and the message. */
export type Refusal = readonly [status: number, code: string, message?: string]

const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest()

export const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex")

/** Encodes a part of a path or a query as S3 expects: everything but the unreserved characters of RFC 3986. */
export const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)

/** The same for a path, whose slashes stay. */
export const encodePath = (path: string): string => encode(path).replaceAll("%2F", "/")

interface Claim {
  readonly credential: string
  readonly signedHeaders: string
  readonly signature: string
  readonly date: string
  readonly payload: string
  readonly token: string | undefined
  /** The lifetime of a presigned URL, in seconds. */
  readonly lifetime: number | undefined
}

const text = (value: string | ReadonlyArray<string> | undefined): string => String(value ?? "")

const inQuery = (query: URLSearchParams): Claim => ({
  credential: query.get("X-Amz-Credential") ?? "",
  signedHeaders: query.get("X-Amz-SignedHeaders") ?? "",
  signature: query.get("X-Amz-Signature") ?? "",
  date: query.get("X-Amz-Date") ?? "",
  payload: "UNSIGNED-PAYLOAD",
  token: query.get("X-Amz-Security-Token") ?? undefined,
  lifetime: Number(query.get("X-Amz-Expires"))
})

const inHeaders = (headers: IncomingHttpHeaders): Claim => {
  const pairs = text(headers.authorization).slice("AWS4-HMAC-SHA256 ".length).split(/,\s*/)
  const parts = new Map(pairs.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]))
  return {
    credential: parts.get("Credential") ?? "",
    signedHeaders: parts.get("SignedHeaders") ?? "",
    signature: parts.get("Signature") ?? "",
    date: text(headers["x-amz-date"]),
    payload: text(headers["x-amz-content-sha256"]),
    token: headers["x-amz-security-token"] === undefined ? undefined : text(headers["x-amz-security-token"]),
    lifetime: undefined
  }
}

const claimOf = ({ headers, query }: Signed): Claim | undefined => {
  if (query.has("X-Amz-Signature")) return inQuery(query)
  return headers.authorization?.startsWith("AWS4-HMAC-SHA256 ") === true ? inHeaders(headers) : undefined
}

/** Whether a request claims to be signed. */
export const isSigned = (request: Signed): boolean => claimOf(request) !== undefined

const instant = (date: string): number =>
  Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"))

const maxSkew = 900_000

const wrongTime = ({ date, lifetime }: Claim, now: number): Refusal | undefined => {
  const signedAt = instant(date)
  if (Number.isNaN(signedAt)) return [403, "AccessDenied", "The date is missing or malformed"]
  if (lifetime !== undefined) {
    return now > signedAt + lifetime * 1000 ? [403, "AccessDenied", "Request has expired"] : undefined
  }
  return Math.abs(now - signedAt) > maxSkew ? [403, "RequestTimeTooSkewed"] : undefined
}

const canonicalQuery = (query: URLSearchParams): string =>
  [...query]
    .filter(([name]) => name !== "X-Amz-Signature")
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join("&")

const signatureOf = (request: Signed, claim: Claim, secret: string): string => {
  const headers = claim.signedHeaders.split(";").map((name) =>
    `${name}:${text(request.headers[name]).trim().replace(/\s+/g, " ")}`
  )
  const canonical = [
    request.method,
    request.path,
    canonicalQuery(request.query),
    ...headers,
    "",
    claim.signedHeaders,
    claim.payload
  ].join("\n")
  const [, day = "", region = "", service = ""] = claim.credential.split("/")
  const key = hmac(hmac(hmac(hmac(`AWS4${secret}`, day), region), service), "aws4_request")
  const scope = `${day}/${region}/${service}/aws4_request`
  return hmac(key, ["AWS4-HMAC-SHA256", claim.date, scope, sha256(canonical)].join("\n")).toString("hex")
}

/** The headers that must be signed: the host, and every `x-amz-*`. */
const unsignedHeader = ({ headers }: Signed, { signedHeaders }: Claim): string | undefined => {
  const signed = new Set(signedHeaders.split(";"))
  return ["host", ...Object.keys(headers).filter((name) => name.startsWith("x-amz-"))].find((name) => !signed.has(name))
}

const isEncodedAsS3Does = (path: string): boolean => {
  try {
    return encodePath(decodeURIComponent(path)) === path
  } catch {
    return false
  }
}

const wrongIdentity = (claim: Claim, { region, secrets, sessionTokens }: Trust): Refusal | undefined => {
  const [id = "", day, claimed, service, end] = claim.credential.split("/")
  if (!secrets.has(id)) return [403, "InvalidAccessKeyId"]
  if (claim.token !== sessionTokens.get(id)) return [400, "InvalidToken"]
  if (claimed !== region) return [400, "AuthorizationHeaderMalformed", `the region is wrong; expecting '${region}'`]
  return day === claim.date.slice(0, 8) && service === "s3" && end === "aws4_request"
    ? undefined
    : [400, "AuthorizationHeaderMalformed"]
}

/** The reason to refuse a request; `undefined` if its signature is right. */
export const refusalOf = (request: Signed, trust: Trust): Refusal | undefined => {
  const claim = claimOf(request)
  if (claim === undefined) return [403, "AccessDenied"]
  const refused = wrongIdentity(claim, trust) ?? wrongTime(claim, trust.now())
  if (refused !== undefined) return refused
  if (claim.payload === "") return [400, "InvalidRequest", "Missing required header: x-amz-content-sha256"]
  const unsigned = unsignedHeader(request, claim)
  if (unsigned !== undefined) {
    return [403, "AccessDenied", `There were headers present which were not signed: ${unsigned}`]
  }
  const [id = ""] = claim.credential.split("/")
  const isRight = isEncodedAsS3Does(request.path) &&
    signatureOf(request, claim, trust.secrets.get(id) ?? "") === claim.signature
  return isRight ? undefined : [403, "SignatureDoesNotMatch"]
}

import * as DateTime from "effect/DateTime"
import * as Hex from "effect/encoding/Hex"
import * as Redacted from "effect/Redacted"

/** Credentials of AWS that sign requests. */
export interface AwsCredentials {
  /** The id of the access key. Required. */
  readonly accessKeyId: string
  /** The secret access key. Required. */
  readonly secretAccessKey: Redacted.Redacted
  /** The session token of temporary credentials. Default none. */
  readonly sessionToken?: Redacted.Redacted | undefined
}

/** A POST request of a form to a service of AWS. */
export interface SignedRequest {
  readonly url: URL
  readonly body: string
  readonly region: string
  readonly service: string
  readonly credentials: AwsCredentials
  /** Milliseconds since 1970. */
  readonly now: number
}

const encoder = new TextEncoder()

const sha256 = async (text: string): Promise<string> =>
  Hex.encode(new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(text))))

const hmac = async (key: Uint8Array<ArrayBuffer>, text: string): Promise<Uint8Array<ArrayBuffer>> => {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"])
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, encoder.encode(text)))
}

export const formType = "application/x-www-form-urlencoded; charset=utf-8"

/**
 * The headers of a signed request (Signature Version 4), for a POST to the root of a service without a query.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
export const signedHeaders = async (
  { body, credentials: { accessKeyId, secretAccessKey, sessionToken }, now, region, service, url }: SignedRequest
): Promise<Readonly<Record<string, string>>> => {
  const at = DateTime.formatIso(DateTime.makeUnsafe(now)).replace(/\.\d+Z$/, "Z").replaceAll(/[-:]/g, "")
  const date = at.slice(0, 8)
  const headers: Record<string, string> = {
    "content-type": formType,
    host: url.host,
    "x-amz-date": at,
    ...(sessionToken === undefined ? undefined : { "x-amz-security-token": Redacted.value(sessionToken) })
  }
  const names = Object.keys(headers).toSorted()
  const signed = names.join(";")
  const canonical = [
    "POST",
    url.pathname,
    "",
    ...names.map((name) => `${name}:${headers[name]}`),
    "",
    signed,
    await sha256(body)
  ].join("\n")
  const scope = `${date}/${region}/${service}/aws4_request`
  const ofDate = await hmac(encoder.encode(`AWS4${Redacted.value(secretAccessKey)}`), date)
  const key = await hmac(await hmac(await hmac(ofDate, region), service), "aws4_request")
  const signature = Hex.encode(
    await hmac(key, ["AWS4-HMAC-SHA256", at, scope, await sha256(canonical)].join("\n"))
  )
  const { host: _, ...sent } = headers
  return {
    ...sent,
    authorization:
      `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${signed}, Signature=${signature}`
  }
}

/**
 * Signs requests to S3 with AWS Signature Version 4, synchronously: a request for a small object costs little more than its signature.
 * A test compares it with `@smithy/signature-v4`.
 */
import * as DateTime from "effect/DateTime"
import { createHmac, createSecretKey, hash, type KeyObject } from "node:crypto"
import type { Keys } from "../credentials/keys.ts"

/** What is signed: the encoded path, and the headers, which are changed. They have `host` and `x-amz-content-sha256`. */
export interface Unsigned {
  readonly method: string
  readonly path: string
  readonly headers: Record<string, string>
}

/** Headers that proxies may change. They are not signed. */
const unsigned: ReadonlySet<string> = new Set([
  "authorization",
  "cache-control",
  "connection",
  "expect",
  "from",
  "keep-alive",
  "max-forwards",
  "pragma",
  "referer",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "user-agent",
  "x-amzn-trace-id"
])

const isSigned = (name: string): boolean =>
  !unsigned.has(name) && !name.startsWith("proxy-") && !name.startsWith("sec-")

const canonical = (value: string): string =>
  /^\s|\s$|\s\s|[\t\r\n]/.test(value)
    ? value.replace(/[\r\n]/g, " ").replace(/[ \t]+/g, " ").replace(/^ | $/g, "")
    : value

const hmac = (key: string | Buffer | KeyObject, text: string): Buffer => createHmac("sha256", key).update(text).digest()

/** Signs for one region. It keeps the key of the day, and the text of the second. */
export class Signer {
  readonly #region: string
  #second = Number.NaN
  #date = ""
  #scope = ""
  #keys: Keys | undefined
  #keyDay = ""
  #key: KeyObject | undefined

  constructor(region: string) {
    this.#region = region
  }

  /** Adds the headers of the signature, for a time in milliseconds since 1970. */
  sign({ headers, method, path }: Unsigned, keys: Keys, now: number): void {
    this.#setTime(now)
    headers["x-amz-date"] = this.#date
    if (keys.sessionToken !== undefined) headers["x-amz-security-token"] = keys.sessionToken
    const names = Object.keys(headers).filter(isSigned).sort()
    const signedHeaders = names.join(";")
    let lines = ""
    for (const name of names) lines += `${name}:${canonical(headers[name] ?? "")}\n`
    const request = `${method}\n${path}\n\n${lines}\n${signedHeaders}\n${headers["x-amz-content-sha256"] ?? ""}`
    const text = `AWS4-HMAC-SHA256\n${this.#date}\n${this.#scope}\n${hash("sha256", request, "hex")}`
    const signature = createHmac("sha256", this.#keyOf(keys)).update(text).digest("hex")
    headers["authorization"] =
      `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${this.#scope}, SignedHeaders=${signedHeaders}, Signature=${signature}`
  }

  #setTime(now: number): void {
    const second = Math.floor(now / 1000)
    if (second === this.#second) return
    this.#second = second
    this.#date = DateTime.formatIso(DateTime.makeUnsafe(second * 1000)).replace(/[-:]|\.000/g, "")
    this.#scope = `${this.#date.slice(0, 8)}/${this.#region}/s3/aws4_request`
  }

  #keyOf(keys: Keys): KeyObject {
    const day = this.#date.slice(0, 8)
    if (this.#key !== undefined && this.#keys === keys && this.#keyDay === day) return this.#key
    const daily = hmac(`AWS4${keys.secretAccessKey}`, day)
    this.#key = createSecretKey(hmac(hmac(hmac(daily, this.#region), "s3"), "aws4_request"))
    this.#keys = keys
    this.#keyDay = day
    return this.#key
  }
}

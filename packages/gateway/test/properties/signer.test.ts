import { Sha256 } from "@aws-crypto/sha256-js"
import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import { HttpRequest } from "@smithy/protocol-http"
import { SignatureV4 } from "@smithy/signature-v4"
import { Effect } from "effect"
import fc from "fast-check"
import { Signer } from "../../src/internal/store/NodeSigner.ts"
import { encodeKey } from "../../src/internal/store/objectPath.ts"

const name = fc.constantFrom(
  "range",
  "if-match",
  "if-none-match",
  "content-type",
  "cache-control",
  "user-agent",
  "x-amz-meta-a",
  "x-amz-meta-B".toLowerCase(),
  "proxy-x",
  "sec-fetch-mode"
)
const value = fc.string({ unit: fc.constantFrom("a", "B", " ", "\t", "\"", ",", "=", "~"), maxLength: 12 })

const requests = fc.record({
  method: fc.constantFrom("GET", "HEAD", "PUT", "DELETE"),
  key: fc.string({ unit: "binary", minLength: 1, maxLength: 40 }).filter((key) => encodeKey(key) !== undefined),
  headers: fc.dictionary(name, value),
  payload: fc.constantFrom("UNSIGNED-PAYLOAD", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
  keys: fc.record({
    accessKeyId: fc.stringMatching(/^[A-Z0-9]{1,20}$/),
    secretAccessKey: fc.string({ minLength: 1 }),
    sessionToken: fc.option(fc.stringMatching(/^[A-Za-z0-9+/=]{1,40}$/), { nil: undefined }),
    expiresAt: fc.constant(undefined)
  }),
  region: fc.constantFrom("us-east-1", "eu-central-2"),
  times: fc.array(fc.integer({ min: 0, max: 4_102_444_800_000 }), { minLength: 1, maxLength: 3 })
})

describe("Signer", () => {
  it.effect("[G-1] signs random keys and headers as @smithy/signature-v4 does", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(requests, async ({ headers, key, keys, method, payload, region, times }) => {
          const path = `/bucket/${encodeKey(key)}`
          const signer = new Signer(region)
          const reference = new SignatureV4({
            service: "s3",
            region,
            credentials: keys.sessionToken === undefined
              ? { ...keys, sessionToken: "" }
              : { ...keys, sessionToken: keys.sessionToken },
            sha256: Sha256,
            uriEscapePath: false
          })
          const base = { ...headers, host: "s3.example:9000", "x-amz-content-sha256": payload }
          for (const time of times) {
            const own = { ...base }
            signer.sign({ method, path, headers: own }, keys, time)
            // oxlint-disable-next-line no-await-in-loop -- one after the other, as the cached key of the day is used again
            const signed = await reference.sign(
              new HttpRequest({ method, path, headers: base, hostname: "s3.example", port: 9000, protocol: "http:" }),
              { signingDate: new Date(time) }
            )
            assert.deepStrictEqual(own, signed.headers)
          }
        }),
        { numRuns: 300 }
      )
    ))
})

describe("a Signer with other keys", () => {
  it("[G-11] signs with the keys that it is given, also on the same day", () => {
    const one = { accessKeyId: "ONE", secretAccessKey: "first", sessionToken: undefined, expiresAt: undefined }
    const two = { ...one, secretAccessKey: "second" }
    const signed = (signer: Signer, keys: typeof one) => {
      const headers: Record<string, string> = { host: "s3.example", "x-amz-content-sha256": "UNSIGNED-PAYLOAD" }
      signer.sign({ method: "GET", path: "/bucket/a", headers }, keys, 1_800_000_000_000)
      return headers["authorization"]
    }
    const signer = new Signer("us-east-1")
    assert.strictEqual(signed(signer, one), signed(new Signer("us-east-1"), one))
    assert.strictEqual(signed(signer, two), signed(new Signer("us-east-1"), two))
    assert.notStrictEqual(signed(signer, one), signed(signer, two))
  })
})

describe("encodeKey", () => {
  it("[G-2] gives each key a path of its own, which decodes to the key", (context) => {
    const key = fc.oneof(
      fc.string({ unit: "binary", maxLength: 30 }),
      fc.string({
        unit: fc.constantFrom("%", "2", "F", "/", ".", "a", "+", " ", "'", "(", "\u00e9", "e\u0301"),
        maxLength: 12
      })
    )
    forAll(context, 2000, key, (key) => {
      const encoded = encodeKey(key)
      const isKey = key !== "" && key.isWellFormed() && !key.includes("\0") && Buffer.byteLength(key) <= 1024
      assert.strictEqual(encoded !== undefined, isKey)
      if (encoded === undefined) return
      assert.strictEqual(decodeURIComponent(encoded), key)
      assert.match(encoded, /^(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})*$/)
      assert.notMatch(encoded, /%2F/)
    })
  })

  it("[G-2] takes keys of up to 1024 bytes", () => {
    assert.isDefined(encodeKey("a".repeat(1024)))
    assert.isUndefined(encodeKey("a".repeat(1025)))
    assert.isDefined(encodeKey("\u00e9".repeat(512)))
    assert.isUndefined(encodeKey("\u00e9".repeat(513)))
    assert.isUndefined(encodeKey("\ud800"))
  })
})

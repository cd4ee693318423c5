import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as base64url from "jose/base64url"
import type { CachedKeys } from "../../JwksRegistry.ts"
import * as KeySet from "../../KeySet.ts"

interface Document {
  readonly body: string
  readonly etag: string
}

/** The encoded documents by set. A set is the same object until its keys change. */
const documents = new WeakMap<KeySet.KeySet, Document>()

const documentOf = Effect.fnUntraced(function*(set: KeySet.KeySet) {
  const known = documents.get(set)
  if (known !== undefined) return known
  const body = JSON.stringify(KeySet.toJson(set))
  const digest = yield* Effect.promise(() => crypto.subtle.digest("SHA-256", new TextEncoder().encode(body)))
  const document: Document = { body, etag: `"${base64url.encode(new Uint8Array(digest))}"` }
  documents.set(set, document)
  return document
})

/** Whether `If-None-Match` contains an entity tag, by the weak comparison that GET requires (RFC 9110, 13.1.2). */
const matches = (ifNoneMatch: string | undefined, etag: string): boolean =>
  ifNoneMatch !== undefined &&
  ifNoneMatch.split(",").map((tag) => tag.trim()).some((tag) => tag === "*" || tag.replace(/^W\//, "") === etag)

/**
 * Responds with the public keys, a strong entity tag and the remaining lifetime, or with 304 if the entity tag
 * matches.
 */
export const keySetResponse = Effect.fnUntraced(function*(
  { expiresIn, keySet }: CachedKeys,
  ifNoneMatch: string | undefined
) {
  const { body, etag } = yield* documentOf(keySet)
  const headers = { etag, "cache-control": `private, max-age=${Math.floor(Duration.toSeconds(expiresIn))}` }
  return matches(ifNoneMatch, etag)
    ? HttpServerResponse.empty({ status: 304, headers })
    : HttpServerResponse.text(body, { headers, contentType: "application/jwk-set+json" })
})

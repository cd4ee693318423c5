import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as base64url from "jose/base64url"
import type { Grant } from "../../TokenSource.ts"
import { type HashText, hashText } from "../validation/platform.ts"

/** A caller and what a token is for. */
export interface CallerGrant {
  readonly token: Redacted.Redacted
  readonly issuer: string
  readonly subject: string | undefined
  /** When the caller's token expires, in seconds since 1970. */
  readonly expiresAt: number
  /** In canonical form. */
  readonly grant: Grant
}

/** SHA-256 in base64url, by WebCrypto on platforms without a synchronous hash. */
const hashOf = (text: string, hash: HashText | undefined): Effect.Effect<string> =>
  hash === undefined
    ? Effect.map(
      Effect.promise(() => crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))),
      (digest) => base64url.encode(new Uint8Array(digest))
    )
    : Effect.succeed(hash(text))

/**
 * The key that a caller's token is kept by. Each part is written as JSON, so that no two different callers or grants have the same
 * key, whatever characters their names contain.
 */
export const writeKey = (
  { grant: { audience, scope }, issuer, subject }: Pick<CallerGrant, "grant" | "issuer" | "subject">,
  tokenHash: string
): string => JSON.stringify([issuer, subject ?? null, tokenHash, audience ?? null, scope ?? null])

/** `writeKey` with the hash of the caller's token. */
export const keyOf = (caller: CallerGrant, hash: HashText | undefined = hashText): Effect.Effect<string> =>
  Effect.map(Effect.suspend(() => hashOf(Redacted.value(caller.token), hash)), (digest) => writeKey(caller, digest))

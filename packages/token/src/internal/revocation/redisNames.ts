import * as Effect from "effect/Effect"
import { base64url } from "jose"
import type { Identity } from "../../Revocation.ts"
import { encodeText, type HashText } from "../validation/platform.ts"
import { type Entry, kinds } from "./entry.ts"

type Named = Pick<Entry, "id" | "issuer" | "kind">
type Digest = (text: string) => Effect.Effect<string>

/** SHA-256 in base64url: at once where the platform can. The names are the same everywhere. */
const digestOf = (hash: HashText | undefined): Digest =>
  hash === undefined
    ? (text) =>
      Effect.map(
        Effect.promise(() => crypto.subtle.digest("SHA-256", encodeText(text))),
        (bytes) => base64url.encode(new Uint8Array(bytes))
      )
    : (text) => Effect.succeed(hash(text))

/** What an issuer's keys begin with. The part in braces is what a cluster places keys by. */
const placeOf = (digest: Digest, prefix: string, issuer: string): Effect.Effect<string> =>
  Effect.map(digest(JSON.stringify(issuer)), (place) => `${prefix}{${place}}:`)

const nameIn = (digest: Digest, place: string, { id, issuer, kind }: Named): Effect.Effect<string> =>
  Effect.map(digest(JSON.stringify([kind, issuer, id])), (name) => `${place}${kind}:${name}`)

/**
 * Names of keys. Issuers and ids are of any length and form, so they show as hashes: of JSON, which tells any two of them
 * apart, also those that UTF-8 does not. The up to three of one token, which are asked for at once, are of one issuer, and
 * so in one place.
 */
export const makeNames = (prefix: string, hash: HashText | undefined) => {
  const digest = digestOf(hash)
  return {
    nameOf: (named: Named): Effect.Effect<string> =>
      Effect.flatMap(placeOf(digest, prefix, named.issuer), (place) => nameIn(digest, place, named)),
    /** Those that a token may be revoked under. */
    namesOf: (token: Identity): Effect.Effect<ReadonlyArray<string>> => {
      const issuer = token.iss
      const all = kinds.flatMap((kind): ReadonlyArray<Named> => {
        const id = token[kind]
        return id === undefined ? [] : [{ id, issuer, kind }]
      })
      return all.length === 0 ? Effect.succeed([]) : Effect.flatMap(
        placeOf(digest, prefix, issuer),
        (place) => Effect.forEach(all, (named) => nameIn(digest, place, named))
      )
    }
  }
}

import * as Effect from "effect/Effect"
import type { Identity } from "../../Revocation.ts"
import { andThen, type Digest, digestOf } from "../validation/digest.ts"
import type { HashText } from "../validation/platform.ts"
import { kinds, type RevocationEntry } from "./entry.ts"

type Named = Pick<RevocationEntry, "id" | "issuer" | "kind">

/** The prefix of an issuer's keys. The part in braces determines the slot in a Redis cluster. */
const issuerPrefix = (digest: Digest, prefix: string, issuer: string): Effect.Effect<string> =>
  andThen(digest(JSON.stringify(issuer)), (place) => Effect.succeed(`${prefix}{${place}}:`))

const nameIn = (digest: Digest, place: string, { id, issuer, kind }: Named): Effect.Effect<string> =>
  andThen(digest(JSON.stringify([kind, issuer, id])), (name) => Effect.succeed(`${place}${kind}:${name}`))

/**
 * The names of keys. Issuers and ids can be any text, so that names contain their hashes: of JSON, which also distinguishes
 * strings that UTF-8 does not. The keys of one token, at most three, are read together: they share an issuer, and therefore
 * a slot.
 */
export const makeNames = (prefix: string, hash: HashText | undefined) => {
  const digest = digestOf(hash)
  return {
    nameOf: (named: Named): Effect.Effect<string> =>
      Effect.flatMap(issuerPrefix(digest, prefix, named.issuer), (place) => nameIn(digest, place, named)),
    /** The names of the entries that would revoke a token. */
    namesOf: (token: Identity): Effect.Effect<ReadonlyArray<string>> => {
      const issuer = token.iss
      const all = kinds.flatMap((kind): ReadonlyArray<Named> => {
        const id = token[kind]
        return id === undefined ? [] : [{ id, issuer, kind }]
      })
      return all.length === 0 ? Effect.succeed([]) : Effect.flatMap(
        issuerPrefix(digest, prefix, issuer),
        (place) => Effect.forEach(all, (named) => nameIn(digest, place, named))
      )
    }
  }
}

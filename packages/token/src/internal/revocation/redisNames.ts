import { Effect } from "effect"
import { base64url } from "jose"
import type { Identity } from "../../Revocation.ts"
import { hashText } from "../platform.ts"
import { type Kind, kinds } from "./entry.ts"

const encoder = new TextEncoder()

const digestLater = (text: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", encoder.encode(text))),
    (bytes) => base64url.encode(new Uint8Array(bytes))
  )

/** SHA-256 in base64url: at once where the platform can. */
const digest = (text: string): Effect.Effect<string> =>
  hashText === undefined ? digestLater(text) : Effect.succeed(hashText(text))

/**
 * The name of an entry's key. Issuers and ids are of any length and form, so they show as hashes: of JSON, which tells any
 * two of them apart, also those that UTF-8 does not. The part in braces is what a cluster places keys by: the up to three
 * of one token, which are asked for at once, are of one issuer.
 */
const nameOf = (prefix: string, issuer: string, kind: Kind, id: string): Effect.Effect<string> =>
  Effect.zipWith(
    digest(JSON.stringify(issuer)),
    digest(JSON.stringify([kind, issuer, id])),
    (place, name) => `${prefix}{${place}}:${kind}:${name}`
  )

/** Names of keys, with what they begin with. */
export const makeNames = (prefix: string) => ({
  nameOf: ({ id, issuer, kind }: { readonly id: string; readonly issuer: string; readonly kind: Kind }) =>
    nameOf(prefix, issuer, kind, id),
  /** Those that a token may be revoked under. */
  namesOf: (token: Identity): Effect.Effect<ReadonlyArray<string>> =>
    Effect.forEach(
      kinds.flatMap((kind) => {
        const id = token[kind]
        return id === undefined ? [] : [[kind, id] as const]
      }),
      ([kind, id]) => nameOf(prefix, token.iss, kind, id)
    )
})

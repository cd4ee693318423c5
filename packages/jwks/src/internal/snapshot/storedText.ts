/**
 * The stored form of a snapshot: the signature, a line break, and the snapshot as JSON. The signature covers the exact JSON
 * text, so that nothing is parsed before it is verified, and no canonical encoding is needed.
 */
import * as Field from "@keelson/core/unstable/Field"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { hasMoreValues } from "../keys/jsonSize.ts"
import type { Identity, Snapshot } from "./jwksSnapshots.ts"
import type { Signer } from "./signature.ts"
import { type RefusedReason, SnapshotRefused } from "./snapshotError.ts"

/** Milliseconds since 1970, up to the latest valid `Date`. */
const Instant = Field.number(0, 8_640_000_000_000_000)

/** A stored header: text, or absent. */
const Header = Schema.optionalKey(Schema.String)

const Stored = Schema.Struct({
  version: Schema.Literal(2),
  tenantId: Schema.String,
  providerId: Schema.String,
  issuer: Schema.String,
  url: Schema.String,
  documentUrl: Schema.String,
  body: Schema.String,
  headers: Schema.Struct({
    etag: Header,
    "last-modified": Header,
    "cache-control": Header,
    expires: Header,
    vary: Header
  }),
  receivedAt: Instant,
  expiresAt: Instant,
  staleUntil: Instant,
  persistedAt: Instant
}).check(Schema.makeFilter((o) => o.receivedAt <= o.expiresAt && o.expiresAt <= o.staleUntil))

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Stored), { onExcessProperty: "error" })

const encoder = new TextEncoder()

const exceeds = (text: string, bytes: number): boolean =>
  text.length > bytes || (text.length * 3 > bytes && encoder.encode(text).length > bytes)

/** How far the clocks of two machines may differ, in milliseconds. */
const maxSkew = 60_000

/** Upper bound of a stored text: JSON may escape each byte of the body as six; 64 KiB are allowed for the other members. */
export const maxStoredBytes = (maxBytes: number): number => maxBytes * 6 + 65_536

/** Encodes a snapshot. Without a signer the first line is empty. */
export const encodeSnapshot = (snapshot: Snapshot, signer: Signer | undefined): Effect.Effect<string> => {
  const {
    body,
    documentUrl,
    expiresAt,
    headers,
    issuer,
    persistedAt,
    providerId,
    receivedAt,
    staleUntil,
    tenantId,
    url
  } = snapshot
  const payload = JSON.stringify({
    version: 2,
    tenantId,
    providerId,
    issuer,
    url,
    documentUrl,
    body,
    headers,
    receivedAt,
    expiresAt,
    staleUntil,
    persistedAt
  })
  const signature = signer === undefined ? Effect.succeed("") : signer.sign(payload)
  return Effect.map(signature, (line) => `${line}\n${payload}`)
}

const isOf = (snapshot: Snapshot, identity: Identity): boolean =>
  snapshot.tenantId === identity.tenantId && snapshot.providerId === identity.providerId &&
  snapshot.issuer === identity.issuer && snapshot.url === identity.url

const refuse = (reason: RefusedReason) => Effect.fail(new SnapshotRefused({ reason }))

/** What a stored text must match. `now` is the wall clock in milliseconds. */
export interface Expected {
  readonly identity: Identity
  readonly maxBytes: number
  readonly now: number
}

/** Decodes and checks a stored text. Returns the snapshot with its stored times. Fails with `SnapshotRefused`. */
export const decodeSnapshot = Effect.fnUntraced(
  function*(
    text: string,
    signer: Signer | undefined,
    { identity, maxBytes, now }: Expected
  ): Effect.fn.Return<Snapshot, SnapshotRefused> {
    if (exceeds(text, maxStoredBytes(maxBytes))) return yield* refuse("tooLarge")
    const end = text.indexOf("\n")
    if (end === -1) return yield* refuse("malformed")
    const payload = text.slice(end + 1)
    if (signer !== undefined) {
      if (end === 0) return yield* refuse("unsigned")
      if (!(yield* signer.verify(payload, text.slice(0, end)))) return yield* refuse("tampered")
    }
    if (hasMoreValues(payload)) return yield* refuse("malformed")
    const stored = Option.getOrUndefined(decode(payload))
    if (stored === undefined) return yield* refuse("malformed")
    const { version: _, ...snapshot } = stored
    if (!isOf(snapshot, identity)) return yield* refuse("foreign")
    if (exceeds(snapshot.body, maxBytes)) return yield* refuse("tooLarge")
    if (Math.max(snapshot.receivedAt, snapshot.persistedAt) > now + maxSkew) return yield* refuse("future")
    if (snapshot.staleUntil <= now) return yield* refuse("expired")
    return snapshot
  }
)

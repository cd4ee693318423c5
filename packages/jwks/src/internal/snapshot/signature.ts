import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"

/** One key, or several for rotation: the first one signs, each of them verifies. */
export type SnapshotKey = Redacted.Redacted | readonly [Redacted.Redacted, ...ReadonlyArray<Redacted.Redacted>]

/** Signs snapshots that are stored, and verifies those that are loaded. */
export interface Signer {
  readonly sign: (payload: string) => Effect.Effect<string>
  readonly verify: (payload: string, signature: string) => Effect.Effect<boolean>
}

const algorithm = { name: "HMAC", hash: "SHA-256" } as const

/** The length of the digest (RFC 2104, 3): a shorter key weakens the signature. */
const minKeyBytes = 32

/** Signed with the payload, so that other data signed with the same key is not accepted as a snapshot. */
const context = "@keelson/jwks/JwksSnapshots\n"

const encoder = new TextEncoder()

const message = (payload: string) => encoder.encode(context + payload)

const weak = () =>
  new KeelsonError.ConfigurationError({
    code: "KEY_INVALID",
    message: `The snapshot key must be redacted text of at least ${minKeyBytes} bytes`,
    details: { path: "key", expected: `redacted text of at least ${minKeyBytes} bytes` }
  })

const missing = () =>
  new KeelsonError.ConfigurationError({
    code: "CONFIG_MISSING",
    message: "Snapshots in a shared store require a signing key",
    details: { missing_key: "key" }
  })

/** Imports a key. One that is not `Redacted` is refused, since it would appear wherever the options are printed. */
const importKey = (key: unknown): Effect.Effect<CryptoKey, KeelsonError.ConfigurationError> =>
  Effect.suspend(() => {
    const text = Redacted.isRedacted(key) ? Redacted.value(key) : undefined
    const bytes = encoder.encode(typeof text === "string" ? text : "")
    return bytes.length < minKeyBytes
      ? Effect.fail(weak())
      : Effect.promise(() => crypto.subtle.importKey("raw", bytes, algorithm, false, ["sign", "verify"]))
  })

/**
 * Makes a signer with HMAC-SHA-256 (RFC 2104). `subtle.verify` compares in constant time.
 *
 * Fails with `ConfigurationError`: `CONFIG_MISSING` without a key, `KEY_INVALID` for a key of fewer than 32 bytes.
 */
export const makeSigner = Effect.fnUntraced(
  function*(key: SnapshotKey | undefined): Effect.fn.Return<Signer, KeelsonError.ConfigurationError> {
    const configured: ReadonlyArray<unknown> = Redacted.isRedacted(key) ? [key] : [...key ?? []]
    const keys = yield* Effect.forEach(configured, importKey)
    const [signing] = keys
    if (signing === undefined) return yield* missing()
    return {
      sign: (payload) =>
        Effect.map(
          Effect.promise(() => crypto.subtle.sign(algorithm, signing, message(payload))),
          (signature) => Base64Url.encode(new Uint8Array(signature))
        ),
      verify: (payload, signature) =>
        Result.match(Base64Url.decode(signature), {
          onFailure: () => Effect.succeed(false),
          onSuccess: (bytes) => {
            const data = message(payload)
            const verifyWith = (key: CryptoKey) =>
              Effect.promise(() => crypto.subtle.verify(algorithm, key, new Uint8Array(bytes), data))
            return Effect.map(Effect.forEach(keys, verifyWith), (all) => all.includes(true))
          }
        })
    }
  }
)

import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as base64url from "jose/base64url"
import { keyBytes } from "./keyBytes.ts"

/** Why a stored value is not used: its version or form, its key, its text, or what the text says. */
export type IgnoredReason = "version" | "key" | "cipher" | "content" | "clock"

/** Encrypts and decrypts stored values. */
export interface Seal {
  /** The value as text: `1.<key id>.<nonce and ciphertext>`. */
  readonly close: (plain: string, about: string) => Effect.Effect<string>
  readonly open: (sealed: string, about: string) => Effect.Effect<Result.Result<string, IgnoredReason>>
}

const version = "1"
const nonceLength = 12
const form = /^(\w{1,8})\.([\w-]{1,32})\.([\w-]{40,90000})$/

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true })

/** What a value is bound to beside its key: a value that was moved to another record does not decrypt. */
const additionalData = (keyId: string, about: string): Uint8Array<ArrayBuffer> =>
  encoder.encode(JSON.stringify(["keelson", version, keyId, about]))

const importKey = (text: Redacted.Redacted): Promise<CryptoKey> =>
  crypto.subtle.importKey("raw", keyBytes(Redacted.value(text)) ?? new Uint8Array(0), "AES-GCM", false, [
    "encrypt",
    "decrypt"
  ])

/**
 * AES-256-GCM with a random nonce of 96 bits. The first key encrypts, and the key that a value names decrypts it.
 *
 * @see NIST SP 800-38D, 8.2.2
 */
export const makeSeal = Effect.fnUntraced(function*(
  keys: ReadonlyArray<{ readonly id: string; readonly key: Redacted.Redacted }>
): Effect.fn.Return<Seal> {
  const imported = yield* Effect.forEach(
    keys,
    ({ id, key }) => Effect.map(Effect.promise(() => importKey(key)), (made) => ({ id, key: made }))
  )
  const [first] = imported
  if (first === undefined) return yield* Effect.die(new Error("A seal needs a key"))
  const byId = new Map(imported.map(({ id, key }) => [id, key]))
  return {
    close: (plain, about) =>
      Effect.promise(async () => {
        const iv = new Uint8Array(SecureRandom.randomBytesUnsafe(nonceLength))
        const additional = additionalData(first.id, about)
        const algorithm = { name: "AES-GCM", iv, additionalData: additional }
        const cipher = new Uint8Array(await crypto.subtle.encrypt(algorithm, first.key, encoder.encode(plain)))
        const bytes = new Uint8Array(nonceLength + cipher.byteLength)
        bytes.set(iv)
        bytes.set(cipher, nonceLength)
        return `${version}.${first.id}.${base64url.encode(bytes)}`
      }),
    open: (sealed, about) => {
      const [, stated, keyId = "", text = ""] = form.exec(sealed) ?? []
      if (stated !== version) return Effect.succeed(Result.fail("version"))
      const key = byId.get(keyId)
      if (key === undefined) return Effect.succeed(Result.fail("key"))
      const opened = Effect.tryPromise(async () => {
        const bytes = base64url.decode(text)
        const iv = new Uint8Array(bytes.slice(0, nonceLength))
        const algorithm = { name: "AES-GCM", iv, additionalData: additionalData(keyId, about) }
        return decoder.decode(await crypto.subtle.decrypt(algorithm, key, new Uint8Array(bytes.slice(nonceLength))))
      })
      return Effect.match(opened, {
        onFailure: () => Result.fail("cipher" as const),
        onSuccess: (plain) => Result.succeed(plain)
      })
    }
  }
})

/** SHA-256 in base64url. */
export const digest = (text: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", encoder.encode(text))),
    (bytes) => base64url.encode(new Uint8Array(bytes))
  )

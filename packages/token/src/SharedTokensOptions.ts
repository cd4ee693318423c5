/**
 * Options of tokens that processes share in Redis: the keys that encrypt them, and the times of leases.
 */
import * as Field from "@keelson/core/unstable/Field"
import * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { expectedKey, isKeyText } from "./internal/fleet/keyBytes.ts"

/** A key that encrypts stored tokens (AES-256-GCM). */
export interface EncryptionKey {
  /** The name that stored values state. From 1 to 32 letters, digits, - and _. Required. */
  readonly id: string
  /**
   * 32 random bytes in base64 or base64url, as `openssl rand -base64 32` prints them. Passphrases, and bytes that are not
   * random, are refused. Required.
   */
  readonly key: Redacted.Redacted
}

/** Options of `layerRedis`, without the connection. All but `keys` may be left out. */
export interface Options {
  /**
   * The first key encrypts, all of them decrypt. To change the key, first add the new one as the last of all processes, then
   * move it to the first place, then remove the old one. From 1 to 10 keys with different ids. Required.
   */
  readonly keys: ReadonlyArray<EncryptionKey>
  /**
   * What every key in Redis begins with. Processes with the same prefix and the same `keys` share their tokens. From 0 to 128
   * characters without braces. Default keelson:token:.
   */
  readonly prefix?: string | undefined
  /** How long to wait for a response of Redis. From 1 milli to 10 seconds. Default 200 millis. */
  readonly timeout?: Field.DurationInput | undefined
  /**
   * How long the process that requests a token has the lease without renewing it, which it does three times in this period.
   * Another process takes over this long after a crash. From 1 second to 1 minute. Default 5 seconds.
   */
  readonly lease?: Field.DurationInput | undefined
  /**
   * How long a process waits for the token that another one requests, after which the acquisition fails with
   * `TOKEN_WAIT_EXCEEDED`. From 1 second to 10 minutes. Default 1 minute.
   */
  readonly maxWait?: Field.DurationInput | undefined
  /**
   * Upper bound of the pause of all processes after a failed token request. The first pause is 1 second, and each further
   * failure doubles it; a refusal by the authorization server does not. From 1 second to 1 minute. Default 5 seconds.
   */
  readonly maxFailureDelay?: Field.DurationInput | undefined
  /**
   * How many replicas of Redis must confirm that a rotating refresh token is marked as sent before it is sent (`WAIT`). With 0,
   * a failover that loses the mark can make another process send it again. From 0 to 10. Default 0.
   */
  readonly minReplicas?: number | undefined
}

const Id = Schema.String.check(
  Schema.isPattern(/^[\w-]{1,32}$/, { expected: "text from 1 to 32 letters, digits, - and _" })
)

/** A checked key. */
export const Key = Schema.Struct({
  id: Id,
  key: Schema.RedactedFromValue(
    Schema.String.check(Schema.makeFilter(isKeyText, { expected: expectedKey })),
    { label: "key" }
  )
})
export type Key = typeof Key.Type

const expectedKeys = "a list of 1 to 10 keys with different ids"

const Keys = Schema.Array(Key).check(
  Schema.isMinLength(1, { expected: expectedKeys }),
  Schema.isMaxLength(10, { expected: expectedKeys }),
  Schema.makeFilter(
    (keys: ReadonlyArray<{ readonly id: string }>) => new Set(keys.map(({ id }) => id)).size === keys.length,
    { expected: expectedKeys }
  )
)

/** The whole list as JSON, as one variable of the environment. */
const KeysInJson = Schema.String.check(Schema.isMaxLength(8_192, { expected: expectedKeys })).pipe(
  Schema.decodeTo(Schema.fromJsonString(Keys))
)

/** Without braces: the part in braces determines the slot in a Redis cluster. */
const Prefix = Schema.String.check(
  Schema.isPattern(/^[^{}]{0,128}$/, { expected: "text from 0 to 128 characters without braces" })
)

/**
 * Checked options of shared tokens.
 *
 * **Example** (Checked options)
 *
 * ```ts import.meta.vitest
 * import { Configuration } from "@keelson/core"
 * import { SharedTokensOptions } from "@keelson/token"
 * import { Effect } from "effect"
 *
 * const key = "A/3zXqIZ0+6vL1m2Jc8rTn5bQwEeYsKdUfPgHhOoW94="
 * const decode = Configuration.decode(SharedTokensOptions.SharedTokensOptions)
 *
 * const options = await Effect.runPromise(decode({ keys: [{ id: "2026-11", key }] }))
 * options.prefix // => "keelson:token:"
 *
 * const error = await Effect.runPromise(Effect.flip(decode({ keys: [{ id: "1", key: "my passphrase" }] })))
 * error.code // => "INVALID_CONFIG"
 * ```
 */
export const SharedTokensOptions = Schema.Struct({
  keys: Schema.Union([Keys, KeysInJson]),
  prefix: Field.defaulted(Prefix, "keelson:token:"),
  timeout: Field.defaulted(Field.duration("1 millis", "10 seconds"), Duration.millis(200)),
  lease: Field.defaulted(Field.duration("1 second", "1 minute"), Duration.seconds(5)),
  maxWait: Field.defaulted(Field.duration("1 second", "10 minutes"), Duration.minutes(1)),
  maxFailureDelay: Field.defaulted(Field.duration("1 second", "1 minute"), Duration.seconds(5)),
  minReplicas: Field.defaulted(Field.int(0, 10), 0)
})
export type SharedTokensOptions = typeof SharedTokensOptions.Type

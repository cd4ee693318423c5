/**
 * Tokens that a client signs itself, for services that accept key-pair JWTs instead of an authorization server's tokens.
 */
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { SignJWT } from "jose/jwt/sign"
import type { ClientKey, Keys, SigningAlgorithm } from "./ClientAuth.ts"
import { makeCurrentKey } from "./internal/oauth/importPrivateKey.ts"
import { increasingSeconds } from "./internal/oauth/increasingSeconds.ts"
import { signingAlgorithms } from "./internal/oauth/signingAlgorithms.ts"
import { fromEffect, type TokenSource } from "./TokenSource.ts"

/** The options that can be read from configuration. */
export interface ClaimOptions {
  /** The signature algorithm of the key. Required. */
  readonly alg: SigningAlgorithm
  /** The `iss` of the tokens. From 1 to 2048 characters. Required. */
  readonly issuer: string
  /** The `sub` of the tokens. From 1 to 2048 characters. Default none. */
  readonly subject?: string | undefined
  /** The `aud` of the tokens. From 1 to 2048 characters. Default none. */
  readonly audience?: string | undefined
  /**
   * Lifetime of a token. A value below 30 seconds or above 1 hour is replaced by that bound, with a warning. From 0 millis to
   * 24 hours. Default 1 hour.
   */
  readonly lifetime?: Field.DurationInput | undefined
  /**
   * How long before the current time `iat` is, for servers whose clock may be behind. It counts towards the lifetime, which must be
   * longer. From 0 millis to 5 minutes. Default 0 millis.
   */
  readonly backdate?: Field.DurationInput | undefined
}

/** Options of `make`. */
export interface Options extends ClaimOptions {
  /**
   * The key, or an effect that runs for each token, so that the key can be rotated. Text is imported for `alg`, once, and again
   * when it changes. Required.
   */
  readonly keys: Keys
  /** Further claims; they cannot replace those that `make` sets. Default none. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined
}

const bounds = { minimum: Duration.seconds(30), maximum: Duration.hours(1) }

const clamped = (lifetime: Duration.Duration): Duration.Duration => Duration.clamp(lifetime, bounds)

/** Checked options that can be read from configuration. */
export const SelfSignedJwtOptions = Schema.Struct({
  alg: Schema.Literals(signingAlgorithms),
  issuer: Field.text(1, 2048),
  subject: Schema.optionalKey(Field.text(1, 2048)),
  audience: Schema.optionalKey(Field.text(1, 2048)),
  lifetime: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.hours(1)),
  backdate: Field.defaulted(Field.duration("0 millis", "5 minutes"), Duration.zero)
}).check(
  Schema.makeFilter((o: { readonly lifetime: Duration.Duration; readonly backdate: Duration.Duration }) =>
    Duration.isGreaterThan(clamped(o.lifetime), o.backdate) ||
    { path: ["backdate"], issue: `below lifetime, which is ${Field.written(clamped(o.lifetime))}` }
  )
)

const fromCode = Decoders.maker<ClaimOptions, typeof SelfSignedJwtOptions>(SelfSignedJwtOptions)

const clampLifetime = (lifetime: Duration.Duration): Effect.Effect<Duration.Duration> => {
  const used = clamped(lifetime)
  return Duration.Equivalence(used, lifetime) ? Effect.succeed(lifetime) : Effect.as(
    Effect.logWarning("Lifetime of self-signed tokens clamped to the allowed range", {
      lifetime: Field.written(lifetime),
      used: Field.written(used)
    }),
    used
  )
}

const invalidKey = () =>
  new KeelsonError.ConfigurationError({
    code: "KEY_INVALID",
    message: "The key cannot sign a token",
    details: { path: "keys", expected: "a private key for the algorithm, which may sign" }
  })

/**
 * Creates a source of tokens that are signed in this process (RFC 7519). `iat` increases strictly from one token to the next, up to
 * 11 in one second; `exp` is `lifetime` later; `jti` is a UUID from secure randomness. Use it with `RefreshPolicy.selfSigned`.
 * For GitHub Apps set `backdate` to a minute; for App Store Connect leave out `subject`.
 *
 * Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. An acquisition fails with
 * `ConfigurationError` (`KEY_INVALID`) if the key cannot be read or cannot sign.
 *
 * **Example** (A key-pair JWT)
 *
 * ```ts import.meta.vitest
 * import { RefreshPolicy, SelfSignedJwt, TokenProvider } from "@keelson/token"
 * import { Effect, Redacted } from "effect"
 * import { decodeJwt, generateKeyPair } from "jose"
 *
 * const { privateKey } = await generateKeyPair("ES256")
 * const source = SelfSignedJwt.make({ alg: "ES256", keys: { key: privateKey }, issuer: "ACCOUNT.USER", subject: "USER" })
 * const provider = TokenProvider.make({ name: "warehouse", source, policy: RefreshPolicy.selfSigned })
 *
 * const token = await Effect.runPromise(Effect.scoped(Effect.flatMap(provider, ({ get }) => get)))
 * decodeJwt(Redacted.value(token.value)).iss // => "ACCOUNT.USER"
 * ```
 */
export const make = ({ claims = {}, keys, ...input }: Options): TokenSource => {
  const { alg, audience, backdate, issuer, lifetime, subject } = fromCode(input)
  const nextIssuedAt = increasingSeconds()
  const currentKey = makeCurrentKey(keys, invalidKey, alg)
  const sign = ({ key, kid }: ClientKey, iat: number, lifetime: Duration.Duration): Promise<string> => {
    const jwt = new SignJWT({
      ...claims,
      iss: issuer,
      // Not from `Random`: services reject a `jti` that they have seen, and a seed would repeat it.
      jti: SecureRandom.uuidV4Unsafe(),
      iat,
      exp: iat + Duration.toSeconds(lifetime)
    }).setProtectedHeader({ alg, typ: "JWT", ...(kid === undefined ? undefined : { kid }) })
    if (subject !== undefined) jwt.setSubject(subject)
    if (audience !== undefined) jwt.setAudience(audience)
    return jwt.sign(key)
  }
  const acquire = Effect.gen(function*() {
    const current = yield* currentKey
    const total = yield* clampLifetime(lifetime)
    const now = yield* Clock.currentTimeMillis
    const iat = nextIssuedAt(now - Duration.toMillis(backdate))
    const signed = yield* Effect.tryPromise({ try: () => sign(current, iat, total), catch: invalidKey })
    return {
      accessToken: Redacted.make(signed, { label: "accessToken" }),
      expiresIn: Duration.subtract(total, backdate)
    }
  })
  return fromEffect(acquire)
}

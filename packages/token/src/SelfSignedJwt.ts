/**
 * Tokens that a client signs for itself, for services that take key-pair JWTs in place of an authorization server's.
 */
import * as Configuration from "@keelson/core/Configuration"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { SignJWT } from "jose"
import type { ClientKey } from "./ClientAuth.ts"
import { increasing } from "./internal/oauth/increasing.ts"
import { attemptId } from "./internal/provider/attemptId.ts"
import { fromEffect, type TokenSource } from "./TokenSource.ts"

/** The fields of the options that are data. */
export const fields = {
  /** The algorithm that the key signs with. Required. */
  alg: Schema.Literals(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"]),
  /** The `iss` of the tokens. From 1 to 2048 characters. Required. */
  issuer: Field.text(1, 2048),
  /** The `sub` of the tokens. From 1 to 2048 characters. Required. */
  subject: Field.text(1, 2048),
  /** The `aud` of the tokens. From 1 to 2048 characters. Default none. */
  audience: Schema.optionalKey(Field.text(1, 2048)),
  /**
   * How long a token lives. Below 30 seconds and above 1 hour it is brought to these, with a warning. From 0 millis to 24
   * hours. Default 1 hour.
   */
  lifetime: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.hours(1))
}

const Data = Schema.Struct(fields)
type Data = typeof Data.Type
const decodeUnsafe = Configuration.decodeUnsafe(Data)

/** What `make` takes. */
export interface Options extends Omit<Data, "lifetime" | "audience"> {
  /** The key, or an effect that is run for each token, so that the key may be rotated. */
  readonly keys: ClientKey | Effect.Effect<ClientKey, unknown>
  readonly audience?: string | undefined
  readonly lifetime?: Field.DurationInput | undefined
  /** More claims; none of those that are set already. Default none. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined
}

const least = Duration.seconds(30)
const most = Duration.hours(1)

const clamped = (lifetime: Duration.Duration): Effect.Effect<Duration.Duration> => {
  const within = Duration.clamp(lifetime, { minimum: least, maximum: most })
  return Duration.Equivalence(within, lifetime) ? Effect.succeed(lifetime) : Effect.as(
    Effect.logWarning("The lifetime of self-signed tokens was brought into its bounds", {
      lifetime: Field.written(lifetime),
      used: Field.written(within)
    }),
    within
  )
}

const unusable = () =>
  new KeelsonError.ConfigurationError({
    code: "KEY_INVALID",
    message: "The key cannot sign a token",
    details: { path: "keys", expected: "a private key for the algorithm, which may sign" }
  })

/**
 * A source of tokens that are signed here (RFC 7519): `iat` increases strictly from one to the next, up to 11 in one
 * second, `exp` is `lifetime` later, and each has a `jti`. Use it with `RefreshPolicy.selfSigned`.
 *
 * Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. An acquisition fails with
 * `ConfigurationError` (`KEY_INVALID`) where the key is not readable, or of no use.
 */
export const make = ({ claims = {}, keys, ...input }: Options): TokenSource => {
  const { alg, audience, issuer, lifetime, subject } = decodeUnsafe(input)
  const next = increasing()
  const acquire = Effect.gen(function*() {
    const { key, kid } = yield* Effect.isEffect(keys) ? Effect.mapError(keys, unusable) : Effect.succeed(keys)
    const expiresIn = yield* clamped(lifetime)
    const jti = yield* attemptId
    const iat = next(yield* Clock.currentTimeMillis)
    const token = new SignJWT({
      ...claims,
      iss: issuer,
      sub: subject,
      jti,
      iat,
      exp: iat + Duration.toSeconds(expiresIn)
    })
      .setProtectedHeader({ alg, typ: "JWT", ...(kid === undefined ? undefined : { kid }) })
    if (audience !== undefined) token.setAudience(audience)
    const signed = yield* Effect.tryPromise({ try: () => token.sign(key), catch: unusable })
    return { accessToken: Redacted.make(signed, { label: "accessToken" }), expiresIn }
  })
  return fromEffect(acquire)
}

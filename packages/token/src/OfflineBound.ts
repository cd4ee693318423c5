/**
 * How long an application works while something that it depends on is unreachable: the issuer's keys, the authorization server, Redis.
 *
 * The bounds follow from the options alone, so that they can be printed at start, reviewed, and compared with the outages that you
 * want to survive. `Readiness` shows how much of them is left.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as Field from "@keelson/core/unstable/Field"
import * as JwksOptions from "@keelson/jwks/JwksOptions"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as RefreshPolicy from "./RefreshPolicy.ts"
import * as RevocationOptions from "./RevocationOptions.ts"

/** The options of the parts to describe. Each may be left out. */
export interface Options {
  /** The options of the key set of a validator. Default none. */
  readonly keys?: JwksOptions.Options | undefined
  /** The lifetime that the issuer's responses state (`max-age`). Default: any that the options of `keys` allow. */
  readonly keyLifetime?: Field.DurationInput | undefined
  /** The refresh policy of a guard or provider. Default none. */
  readonly tokens?: RefreshPolicy.Options | undefined
  /** The lifetime of the tokens that the authorization server issues. Default: the policy's `defaultLifetime`. */
  readonly tokenLifetime?: Field.DurationInput | undefined
  /** The options of a list of revocations in Redis. Default none. */
  readonly revocations?: RevocationOptions.RedisOptions | undefined
}

/** How long one part works without what it depends on. */
export interface Bound {
  readonly part: "validator" | "guard" | "revocations"
  readonly without: "issuer" | "authorization server" | "Redis"
  /** The shortest time, whenever the outage begins. */
  readonly least: Duration.Duration
  /** The longest time. */
  readonly most: Duration.Duration
  /** What happens then. */
  readonly afterwards: string
}

const decodeKeys = Configuration.decode(JwksOptions.JwksOptions, ["keys"])
const decodeTokens = Configuration.decode(RefreshPolicy.RefreshPolicy, ["tokens"])
const decodeRevocations = Configuration.decode(RevocationOptions.Redis, ["revocations"])

const ofKeys = (options: JwksOptions.JwksOptions, lifetime: Field.DurationInput | undefined): Bound => ({
  part: "validator",
  without: "issuer",
  ...JwksOptions.offlineBound(options, lifetime),
  afterwards: "tokens are answered with 503 (JWKS_UNAVAILABLE)"
})

/** A refresh is due at `refreshAfter`, at the next call; the jitter only makes it earlier. */
const ofTokens = Effect.fnUntraced(function*(
  policy: RefreshPolicy.RefreshPolicy,
  lifetime: Field.DurationInput | undefined
): Effect.fn.Return<Bound, KeelsonError.ConfigurationError> {
  const { refreshAfter, usableFor } = yield* Effect.fromResult(
    RefreshPolicy.plan(policy, lifetime === undefined ? undefined : Duration.fromInputUnsafe(lifetime), 0)
  )
  return {
    part: "guard",
    without: "authorization server",
    least: Duration.max(Duration.zero, Duration.subtract(usableFor, refreshAfter)),
    most: usableFor,
    afterwards: "calls fail with the error of the last acquisition, and nothing is sent"
  }
})

const ofRevocations = ({ onStoreFailure }: RevocationOptions.Redis): Bound => {
  const isLocal = onStoreFailure === "local"
  const time = isLocal ? Duration.infinity : Duration.zero
  return {
    part: "revocations",
    without: "Redis",
    least: time,
    most: time,
    afterwards: isLocal
      ? "revocations of other processes are not seen"
      : "tokens are answered with 503 (AUTHORIZATION_UNAVAILABLE)"
  }
}

/**
 * The bounds of the parts whose options are given.
 *
 * A validator works until its keys may no longer be used (`staleWindow` after their lifetime), whether it remembers a token or not. A
 * guard works until its token counts as expired; `least` assumes that it is called at least once after each refresh is due, since
 * it refreshes on demand. A list of revocations in Redis fails closed at once, unless `onStoreFailure` is `local`.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) for an option that is out of its range.
 *
 * **Example** (Printing the bounds at start)
 *
 * ```ts import.meta.vitest
 * import { OfflineBound } from "@keelson/token"
 * import { Effect } from "effect"
 *
 * const bounds = await Effect.runPromise(OfflineBound.describe({
 *   keys: { issuer: "https://idp.example", staleWindow: "1 hour" },
 *   keyLifetime: "1 hour",
 *   revocations: {}
 * }))
 * OfflineBound.format(bounds).split("\n")[0] // => "validator without issuer: works for 1h 30s to 2h; then tokens are answered with 503 (JWKS_UNAVAILABLE)"
 * ```
 */
export const describe = Effect.fnUntraced(function*(
  { keyLifetime, keys, revocations, tokenLifetime, tokens }: Options
): Effect.fn.Return<ReadonlyArray<Bound>, KeelsonError.ConfigurationError> {
  const bounds: Array<Bound> = []
  if (keys !== undefined) bounds.push(ofKeys(yield* decodeKeys(keys), keyLifetime))
  if (tokens !== undefined) bounds.push(yield* ofTokens(yield* decodeTokens(tokens), tokenLifetime))
  if (revocations !== undefined) bounds.push(ofRevocations(yield* decodeRevocations(revocations)))
  return bounds
})

const timeOf = ({ least, most }: Bound): string => {
  if (!Duration.isFinite(least)) return "works"
  if (Duration.isZero(most)) return "fails at once"
  return Duration.Equivalence(least, most)
    ? `works for ${Duration.format(most)}`
    : `works for ${Duration.format(least)} to ${Duration.format(most)}`
}

/** The bounds as text, one in each line. */
export const format = (bounds: ReadonlyArray<Bound>): string =>
  bounds.map((bound) => {
    const { afterwards, part, without } = bound
    const separator = Duration.isFinite(bound.least) && !Duration.isZero(bound.most) ? "; then " : "; "
    return `${part} without ${without}: ${timeOf(bound)}${separator}${afterwards}`
  }).join("\n")

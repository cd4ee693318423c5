/**
 * Puts the introspection of one validator together.
 */
import * as BreakerStore from "@keelson/core/BreakerStore"
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Resilience from "@keelson/core/Resilience"
import type * as ResiliencePolicy from "@keelson/core/ResiliencePolicy"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { ClientAuth } from "../../ClientAuth.ts"
import type { SignedOptions } from "../../Introspection.ts"
import type { IntrospectionOptions } from "../../IntrospectionOptions.ts"
import type * as TokenError from "../../TokenError.ts"
import * as ValidationPolicy from "../../ValidationPolicy.ts"
import { makeEndpoint } from "../oauth/metadata.ts"
import { contextBreakerStore } from "../provider/contextBreakerStore.ts"
import { makeHeaderParser } from "../validation/compactJws.ts"
import type { Rules } from "../validation/rules.ts"
import type { VerifySignature } from "../validation/signature.ts"
import type { MakeVerifier, TokenIntrospection } from "../validation/validator.ts"
import { type VerificationResult, Verifier, type VerifierConfig } from "../validation/verification.ts"
import { introspectionUnavailable, tokenInactive } from "./failure.ts"
import { makeFlights } from "./flights.ts"
import { type AnswerRules, checkTokenType, findIssuer, withDefaults } from "./judge.ts"
import { RateLimiter } from "./limiter.ts"
import { FallbackVerifier, mixedVerifier } from "./mixedVerifier.ts"
import type { AnswerVerifier } from "./signedAnswer.ts"
import { checkForm, isJwtShaped } from "./tokenForm.ts"
import { ask, type IntrospectionContext, type IntrospectionCounts, IntrospectionVerifier } from "./verifier.ts"

/** The parts of a validator that its introspection uses. */
export interface ValidatorParts<C> {
  readonly id: string
  /** The rules for introspected tokens. */
  readonly rules: Rules
  readonly verifySignature: VerifySignature
  readonly decodeClaims: (members: unknown) => Result.Result<C, TokenError.Reason>
  /** How JWTs are verified, if they are not introspected. */
  readonly jwts: VerifierConfig<C> | undefined
  /** What happens to a JWT that cannot be judged here. */
  readonly rejectedJwts: "reject" | "introspect"
}

/** The introspection of one validator, and its verifier. */
export interface ValidatorIntrospection<C> {
  readonly introspection: TokenIntrospection
  readonly makeVerifier: MakeVerifier<C>
}

/** The options that only code can give. */
interface CodeOptions<R> {
  readonly accepts: ((token: string) => boolean) | undefined
  readonly auth: ClientAuth
  readonly resilience: Omit<ResiliencePolicy.Options, "hedge"> | undefined
  readonly signed: SignedOptions<R> | undefined
}

const defaults: ResiliencePolicy.Options = {
  deadline: "10 seconds",
  retry: { maxAttempts: 2, initialDelay: "100 millis", maxDelay: "1 second" },
  breaker: { openDuration: "5 seconds", openMultiplier: 2, maxOpenDuration: "1 minute", openJitter: 0.2 },
  bulkhead: { maxConcurrent: 32, maxQueued: 256, maxWait: "2 seconds" }
}

const decodeAlgorithms = Configuration.decode(ValidationPolicy.ValidationPolicy.fields.algorithms, [
  "signed",
  "algorithms"
])

/** Whatever the policy would reject in each answer is a mistake in the options. */
const checkPolicy = (
  { defaultAudience, issuer }: IntrospectionOptions,
  { audiences, trustedIssuer }: Rules
): Effect.Effect<void, KeelsonError.ConfigurationError> => {
  if (issuer !== undefined && trustedIssuer(issuer) === undefined) {
    return Effect.fail(InvalidConfig.option("issuer", "one of the issuers of the policy"))
  }
  return defaultAudience === undefined || audiences.has(defaultAudience)
    ? Effect.void
    : Effect.fail(InvalidConfig.option("defaultAudience", "one of the audiences of the policy"))
}

const makeAnswerVerifier = Effect.fnUntraced(function*<R>(
  { algorithms, keys }: SignedOptions<R>,
  { activeLifetime, clientId, issuer }: IntrospectionOptions,
  { rules, verifySignature }: Pick<ValidatorParts<unknown>, "rules" | "verifySignature">
): Effect.fn.Return<AnswerVerifier, KeelsonError.ConfigurationError, R> {
  if (issuer === undefined) {
    return yield* InvalidConfig.option("issuer", "given for signed answers, which name it")
  }
  return {
    keys: yield* keys,
    verifySignature,
    parseHeader: makeHeaderParser(),
    algorithms: new Set(yield* decodeAlgorithms(algorithms)),
    issuer,
    keysOf: rules.trustedIssuer(issuer)?.keysOf ?? issuer,
    clientId,
    limits: rules.policy,
    tolerance: rules.tolerance,
    maxAge: Duration.toMillis(activeLifetime)
  }
})

/** Registers the metrics for as long as the scope is open. */
const registerCounts = (id: string, counts: IntrospectionCounts) =>
  Effect.forEach(
    ["active", "inactive", "unavailable", "limited"] as const,
    (result) => MetricSeries.register("introspections", { validator: id, result }, () => counts[result]),
    { discard: true }
  )

/** Makes the introspection of one validator in the scope. */
export const makeIntrospection = Effect.fnUntraced(function*<C, R>(
  { decodeClaims, id, jwts, rejectedJwts, rules, verifySignature }: ValidatorParts<C>,
  decoded: Effect.Effect<IntrospectionOptions, KeelsonError.ConfigurationError>,
  { accepts, auth, resilience, signed }: CodeOptions<R>
): Effect.fn.Return<ValidatorIntrospection<C>, KeelsonError.ConfigurationError, R | Scope.Scope> {
  const options = yield* decoded
  yield* checkPolicy(options, rules)
  const { activeLifetime, defaultAudience, inactiveLifetime, issuer, requireTokenType } = options
  const answerRules: AnswerRules = {
    rules,
    issuer,
    defaultAudience,
    requireTokenType,
    activeFor: Duration.toMillis(activeLifetime)
  }
  const counts: IntrospectionCounts = { active: 0, inactive: 0, unavailable: 0, limited: 0 }
  const context: IntrospectionContext<C> = {
    id,
    client: {
      options,
      auth,
      endpoint: makeEndpoint({ ...options, url: options.endpoint }, "introspection_endpoint"),
      limits: rules.policy,
      signed: signed === undefined
        ? undefined
        : yield* makeAnswerVerifier(signed, options, { rules, verifySignature }),
      requiresSigned: signed !== undefined && signed.required !== false
    },
    resilience: yield* Effect.provideService(
      Resilience.make(id, { ...defaults, ...resilience }),
      BreakerStore.BreakerStore,
      yield* contextBreakerStore
    ),
    answerRules,
    decodeClaims,
    accepts,
    newTokens: new RateLimiter(options.newTokensPerSecond, options.newTokensBurst),
    flights: yield* makeFlights<VerificationResult<C>>(Result.fail(introspectionUnavailable("closed"))),
    counts,
    inactiveFor: Duration.toMillis(inactiveLifetime)
  }
  yield* registerCounts(id, counts)
  const own = yield* Effect.context<Scope.Scope>()
  const introspection: TokenIntrospection = {
    handles: (text) => jwts === undefined || !isJwtShaped(text),
    rules,
    checkForm: (text) => checkForm(text, rules.policy.maxLength, accepts),
    // With the client of the layer, not that of the caller.
    ask: (text) =>
      Effect.provideContext(
        Effect.map(
          ask(context, text),
          Result.flatMap(({ answer }) =>
            answer._tag === "Active"
              ? Result.succeed(withDefaults(answer.members, answerRules))
              : Result.fail(tokenInactive)
          )
        ),
        own
      ),
    checkTokenType: (members) => checkTokenType(members, answerRules),
    findIssuer: (iss) => findIssuer(iss, answerRules)
  }
  return {
    introspection,
    makeVerifier: (cache) => {
      const introspected = new IntrospectionVerifier(context, cache)
      if (jwts === undefined) return introspected
      return rejectedJwts === "introspect"
        ? new FallbackVerifier(jwts, cache, introspected)
        : mixedVerifier(new Verifier(jwts, cache), introspected)
    }
  }
})

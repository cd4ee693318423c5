/**
 * Why a validator accepts or refuses a token: each of its checks, in the order in which it makes them.
 *
 * For the people who run a service, at a console or in a test, and never for an HTTP endpoint: it tells whoever holds a bad
 * token how to make a better one. It goes on after a failure where it can, so that all that is wrong with a token shows at
 * once. It accepts nothing that `validate` refuses, since the checks are the validator's own.
 *
 * Verified tokens are not looked up, and nothing is remembered or counted by the validator. Keys are asked for as it would
 * ask for them, and the list of revocations is read, for a token whose signature is good.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import { examine } from "./internal/explain/examine.ts"
import { renderText } from "./internal/explain/render.ts"
import { validationOf } from "./internal/validation/explainable.ts"
import type * as TokenError from "./TokenError.ts"
import type { TokenValidator, ValidateOptions } from "./TokenValidator.ts"

/** The checks, in their order. What neither policy nor call asks for is left out of an explanation. */
export const checkNames = [
  /** Three parts, within the size. */
  "form",
  /** A JOSE header that can be read, without extensions. */
  "header",
  /** `alg` is one of the policy's. */
  "algorithm",
  /** `typ` is one that is expected. */
  "type",
  /** The signature is written in the one way that there is. */
  "signatureEncoding",
  /** The payload is one JSON object, within the limits. */
  "payload",
  /** The registered claims have their shapes, and `iss`, `aud` and `exp` are there. */
  "registeredClaims",
  /** `iss` is trusted. */
  "issuer",
  /** The issuer has keys that fit the header. */
  "key",
  /** One of them verifies the signature. */
  "signature",
  /** `aud` has one of the policy's audiences. */
  "audience",
  /** `exp` is to come; left out with `skipExpiry`. */
  "expiry",
  /** `nbf` has come. */
  "notBefore",
  /** `iat` has come. */
  "issuedAt",
  /** `iat` is not longer ago than the policy's `maxAge`. */
  "age",
  /** The claims that profile and policy require are there. */
  "requiredClaims",
  /** `azp` of an ID token is this client. */
  "authorizedParty",
  /** The claims are of the validator's schema. */
  "schema",
  /** The key is still trusted once all this is done. */
  "trust",
  /** The audience that the call asks for. */
  "callAudience",
  /** The issuer that the call asks for. */
  "callIssuer",
  /** The claims that the call requires. */
  "callClaims",
  /** The nonce that the call gives, or that an ID token has to answer. */
  "nonce",
  /** `at_hash` fits the access token that the call gives. */
  "accessTokenHash",
  /** The token was not revoked. */
  "revocation"
] as const
export type CheckName = (typeof checkNames)[number]

/** What a check looked at, by the names of header members or claims; there with `showValues`. */
export type Values = Readonly<Record<string, unknown>>

/** One check and how it ended. */
export type Check =
  | { readonly name: CheckName; readonly status: "pass"; readonly values?: Values }
  | { readonly name: CheckName; readonly status: "fail"; readonly reason: TokenError.Reason; readonly values?: Values }
  /** It could not be made, since `needs` did not pass. */
  | { readonly name: CheckName; readonly status: "notReached"; readonly needs: CheckName }

/** All checks of a token. */
export interface Explanation {
  /** Whether all of them passed. */
  readonly accepted: boolean
  /** What the validator refuses the token with: the reason of the first that failed. */
  readonly reason: TokenError.Reason | undefined
  readonly checks: ReadonlyArray<Check>
}

/** What the call to explain asks for, as `validateWith` takes it. */
export interface Options extends ValidateOptions {
  /**
   * Whether claims and header members show, as whoever wrote the token chose them: also where the signature is bad. The
   * signature itself never does. Default false.
   */
  readonly showValues?: boolean | undefined
}

/**
 * Explains what a validator makes of a token: `Explain.explain(Tokens, token)`.
 *
 * It never fails, and dies for a validator that was not made by its own layer, as a test may provide one.
 */
export const explain = <Self, C>(
  tag: Context.Key<Self, TokenValidator<C>>,
  token: string | Redacted.Redacted,
  options: Options = {}
): Effect.Effect<Explanation, never, Self> =>
  Effect.flatMap(tag, (validator) => {
    const validation = validationOf(validator)
    return validation === undefined
      ? Effect.die(new TypeError("Only a validator of a TokenValidator layer can be explained"))
      : examine(validation.parts, token, options)
  })

/**
 * An explanation as lines of text, for a terminal. What comes out of a token is quoted, escaped and cut, so that it can't
 * pass for anything else.
 */
export const render = (explanation: Explanation): string => renderText(explanation)

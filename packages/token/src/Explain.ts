/**
 * Explains why a validator accepts or rejects a token: all of its checks, in the order in which the validator makes them.
 *
 * It is for operators, at a console or in a test, and never for an HTTP endpoint: an explanation would show an attacker how
 * to improve a forged token. Where possible it continues after a failed check, so that all problems of a token show at once. It never
 * accepts a token that `validate` rejects, since both call the same checks.
 *
 * It reads no cached token, and neither caches nor counts anything. It looks up keys as the validator would, and reads the
 * list of revocations for a token with a valid signature. It sends an opaque token to the authorization server only if asked
 * to (`introspect`).
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as BindingOptions from "./BindingOptions.ts"
import type { CheckName } from "./internal/explain/checkNames.ts"
import { examine } from "./internal/explain/examine.ts"
import { examineIntrospected } from "./internal/explain/examineIntrospected.ts"
import { renderText } from "./internal/explain/render.ts"
import { tokenText, Validator } from "./internal/validation/validator.ts"
import type * as TokenError from "./TokenError.ts"
import type { TokenValidator, ValidateOptions } from "./TokenValidator.ts"

export type { CheckName } from "./internal/explain/checkNames.ts"

/** The values that a check read, by the names of header members or claims. */
export type Values = Readonly<Record<string, unknown>>

/** One check and its result. `values` is present with `showValues`. */
export type Check =
  | { readonly name: CheckName; readonly status: "pass"; readonly values?: Values }
  | {
    readonly name: CheckName
    readonly status: "fail"
    readonly reason: TokenError.Reason
    /** What the policy, or the call, expects; absent for checks that depend on neither. */
    readonly expected?: string
    readonly values?: Values
  }
  /** Not made, since the check `needs` did not pass; `introspect`: since the option `introspect` is not set. */
  | { readonly name: CheckName; readonly status: "notReached"; readonly needs: CheckName | "introspect" }

/** All checks of a token. */
export interface Explanation {
  /** Whether all checks passed. */
  readonly accepted: boolean
  /** The reason with which the validator rejects the token: that of the first failed check. */
  readonly reason: TokenError.Reason | undefined
  readonly checks: ReadonlyArray<Check>
  /** For a rejected token: the documentation of the policy's identity provider, if that is a known one. */
  readonly guide?: string
}

/** A request with a token that is bound to a key. */
export interface BoundRequest {
  /** The method. Required. */
  readonly method: string
  /** The URL, or its path and query, as the API receives it. Required. */
  readonly url: string
  /** The scheme of the token in `Authorization`. Default DPoP with a proof, and Bearer without. */
  readonly scheme?: "Bearer" | "DPoP" | undefined
  /** The value of the header `DPoP`. Default none. */
  readonly proof?: string | undefined
  /** The client certificate in DER. Default none. */
  readonly certificate?: Uint8Array | undefined
}

/** Options of `explain`, in addition to those of the call to explain. */
export interface Options extends ValidateOptions {
  /**
   * Whether to include the values of claims and header members, even where the signature is invalid and anybody could have
   * written them. The signature itself is never included. Default false.
   */
  readonly showValues?: boolean | undefined
  /**
   * The request that the token came with, to explain the checks of a token that is bound to a key. The record of used proofs is not
   * read, and nothing is added to it. Default none.
   */
  readonly request?: BoundRequest | undefined
  /** The options of the API that received the request: `dpop`, `mtls`, `baseUrls` and so on. Default all off. */
  readonly security?: BindingOptions.Options | undefined
  /**
   * Whether to ask the authorization server about a token that the validator introspects. Without it, only the form of such a
   * token is checked. Default false.
   */
  readonly introspect?: boolean | undefined
}

/**
 * Explains whether a validator accepts a token.
 *
 * It never fails. It dies for a validator that was not made by `TokenValidator`, such as a mock in a test, and with
 * `ConfigurationError` for options of `security` that are not valid.
 *
 * **Example** (Explaining a rejected token)
 *
 * ```ts import.meta.vitest
 * import { StaticKeys } from "@keelson/jwks"
 * import { Claims, TokenValidator, ValidationPolicy } from "@keelson/token"
 * import * as Explain from "@keelson/token/Explain"
 * import { Effect, Layer } from "effect"
 * import { exportJWK, generateKeyPair } from "jose"
 *
 * class Tokens extends TokenValidator.Service<Tokens>()("app/Tokens", { claims: Claims.AccessToken }) {}
 *
 * const { publicKey } = await generateKeyPair("ES256")
 * const issuers = ["https://idp.example"]
 * const keys = StaticKeys.layer({ issuers, keys: [{ algorithm: "ES256", jwk: await exportJWK(publicKey) }] })
 * const validators = Tokens.layer(ValidationPolicy.accessToken({ issuers, audiences: ["api"], algorithms: ["ES256"] }))
 *
 * const program = Effect.provide(Explain.explain(Tokens, "not.a.token"), Layer.provide(validators, keys))
 * const explanation = await Effect.runPromise(program)
 * explanation.accepted // => false
 * Explain.render(explanation).split("\n")[0] // => "rejected: TOKEN_INVALID"
 * ```
 */
export const explain = <Self, C>(
  tag: Context.Key<Self, TokenValidator<C>>,
  token: string | Redacted.Redacted,
  options: Options = {}
): Effect.Effect<Explanation, never, Self> =>
  Effect.flatMap(tag, (validator) => {
    const config = Validator.configOf(validator)
    if (config === undefined) {
      return Effect.die(new TypeError("Explain.explain requires a validator made by TokenValidator"))
    }
    const { introspection } = config
    return introspection?.handles(tokenText(token)) === true
      ? examineIntrospected(config, introspection, tokenText(token), options)
      : examine(config, token, options)
  })

/**
 * Renders an explanation as lines of text for a terminal. Values from the token are quoted, escaped and truncated, so that they
 * cannot imitate other output.
 */
export const render = (explanation: Explanation): string => renderText(explanation)

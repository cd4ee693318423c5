/**
 * Options of back-channel logout: which logout tokens are accepted, and what they end.
 *
 * @see OpenID Connect Back-Channel Logout 1.0, 2.4 and 2.6
 */
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as ValidationPolicy from "./ValidationPolicy.ts"

/** The options of back-channel logout. `issuers`, `audiences` and `algorithms` are those of your ID tokens. */
export interface Options extends
  Pick<
    ValidationPolicy.PresetOptions,
    "algorithms" | "audiences" | "clockTolerance" | "issuers" | "maxAge" | "maxLength"
  >
{
  /**
   * The longest lifetime of the tokens of a session, from the issuing of a token to its `exp`. A revocation ends after it: with a
   * shorter value, tokens of an ended session are accepted again. From 1 minute to 8760 hours. Required.
   */
  readonly tokenLifetime: Field.DurationInput
  /**
   * What a logout token with both `sid` and `sub` ends: the `session`, as the provider asks, or everything of the `subject` until now.
   * Use `subject` if your access tokens have no `sid`. A token with only one of them ends what it names. Default session.
   */
  readonly ends?: "session" | "subject" | undefined
  /**
   * Whether `typ` must be `logout+jwt`, as OpenID Connect Back-Channel Logout 1.0, 2.4 recommends. Otherwise `JWT` and no `typ` are
   * accepted too, which older providers send. Default false.
   */
  readonly requireType?: boolean | undefined
}

/** Checked options of back-channel logout. */
export const BackChannelLogoutOptions = Schema.Struct({
  ...Struct.pick(ValidationPolicy.ValidationPolicy.fields, [
    "algorithms",
    "audiences",
    "clockTolerance",
    "issuers",
    "maxAge",
    "maxLength"
  ]),
  tokenLifetime: Field.duration("1 minute", "8760 hours"),
  ends: Field.defaulted(Schema.Literals(["session", "subject"]), "session"),
  requireType: Field.defaulted(Schema.Boolean, false)
})
export type BackChannelLogoutOptions = typeof BackChannelLogoutOptions.Type

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (Options in code)
 *
 * ```ts import.meta.vitest
 * import { BackChannelLogoutOptions } from "@keelson/token"
 *
 * const options = BackChannelLogoutOptions.make({
 *   issuers: ["https://idp.example"],
 *   audiences: ["web"],
 *   algorithms: ["RS256"],
 *   tokenLifetime: "1 hour"
 * })
 * options.ends // => "session"
 * ```
 */
export const make: (options: Options) => BackChannelLogoutOptions = Decoders.maker<
  Options,
  typeof BackChannelLogoutOptions
>(BackChannelLogoutOptions)

/**
 * What a token has to be, to be accepted: checked data from code, a file or the environment.
 *
 * Issuers, audiences and algorithms are mandatory, and expiry is always checked: there is no policy without them.
 *
 * @see RFC 8725; RFC 9068, 4; OpenID Connect Core 1.0, 3.1.3.7
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as Algorithms from "@keelson/jwks/Algorithm"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const text = (maximum: number) => {
  const expected = `text from 1 to ${maximum} characters`
  return Schema.String.check(Schema.isMinLength(1, { expected }), Schema.isMaxLength(maximum, { expected }))
}

const list = <S extends Schema.Constraint>(item: S, maximum: number, what: string) => {
  const expected = `a list of 1 to ${maximum} ${what}`
  return Schema.Array(item).check(Schema.isMinLength(1, { expected }), Schema.isMaxLength(maximum, { expected }))
}

/** Algorithms of public keys (RFC 7518, 3.3 to 3.5; RFC 8037, 3.1; RFC 9864, 2.2) and of secrets (RFC 7518, 3.2). Never `none`. */
export const Algorithm = Schema.Literals(Algorithms.algorithms)
export type Algorithm = typeof Algorithm.Type

/** What stands for the tenant in an issuer of many. */
const placeholder = "{tenantid}"

/** Issuers that differ by the tenant alone, whose key set is one: as Entra ID has them. */
export const IssuerTemplate = Schema.Struct({
  /** The issuer, with `{tenantid}` once where the tenant stands. It is also what the key source knows it as. */
  template: text(2048).check(
    Schema.makeFilter((value: string) => value.split(placeholder).length === 2, {
      expected: `text with ${placeholder} once`
    })
  ),
  /** The tenants that are trusted. From 1 to 10000 tenants. Required. */
  tenants: list(text(256), 10_000, "tenants")
})
export type IssuerTemplate = typeof IssuerTemplate.Type

/** What `iss` may be by one of `issuers`. */
export const issuersOf = (issuer: string | IssuerTemplate): ReadonlyArray<string> =>
  typeof issuer === "string"
    ? [issuer]
    : issuer.tenants.map((tenant) => issuer.template.replace(placeholder, () => tenant))

/** The kinds of tokens. */
export const profiles = ["jwt", "accessToken", "idToken"] as const
export type Profile = (typeof profiles)[number]

/** Fields of the policy. */
export const fields = {
  /**
   * The kind of token: `accessToken` is RFC 9068, `idToken` is OpenID Connect, `jwt` is any other. It says which `typ` and
   * which claims a token has to have. Default jwt.
   */
  profile: Field.defaulted(Schema.Literals(profiles), "jwt"),
  /**
   * The issuers (`iss`) that are trusted, compared character by character; or a template with its tenants. From 1 to 1000
   * issuers, each once. Required.
   */
  issuers: list(Schema.Union([text(2048), IssuerTemplate]), 1000, "issuers").check(
    Schema.makeFilter((issuers: ReadonlyArray<string | IssuerTemplate>) => {
      const names = issuers.flatMap(issuersOf)
      return new Set(names).size === names.length
    }, { expected: "a list of 1 to 1000 issuers, each once" })
  ),
  /**
   * Who the tokens are for: one of these has to be in `aud`. For ID tokens the client's id. From 1 to 64 audiences.
   * Required.
   */
  audiences: list(text(2048), 64, "audiences"),
  /**
   * The claim that says who a token is for. Some issuers' access tokens have no `aud` and are for the client in `client_id`, as
   * those of Amazon Cognito. Default aud.
   */
  audienceClaim: Field.defaulted(Schema.Literals(["aud", "client_id"]), "aud"),
  /** The algorithms that may have signed them. From 1 to 14 algorithms. Required. */
  algorithms: list(Algorithm, 14, "algorithms"),
  /**
   * The media types that `typ` may be, with or without `application/`, in any case. Without them it is `at+jwt` for access
   * tokens, `JWT` for others. From 1 to 16 types. Default none.
   */
  types: Schema.optionalKey(list(text(128), 16, "types")),
  /** Whether a token without `typ` is refused. Left out, access tokens are, and others are not. Default none. */
  requireType: Schema.optionalKey(Schema.Boolean),
  /** Claims that have to be there, beside those of the profile; 64 names at most. Default none. */
  requiredClaims: Field.defaulted(
    Schema.Array(text(256)).check(Schema.isMaxLength(64, { expected: "a list of at most 64 names" })),
    []
  ),
  /** How far the clocks of issuer and validator may be apart. From 0 millis to 5 minutes. Default 30 seconds. */
  clockTolerance: Field.defaulted(Field.duration("0 millis", "5 minutes"), Duration.seconds(30)),
  /** How long ago a token may have been issued (`iat`). From 1 second to 8760 hours. Default none. */
  maxAge: Schema.optionalKey(Field.duration("1 second", "8760 hours")),
  /**
   * Whether an ID token has to answer a `nonce` that the call gives (OpenID Connect Core 1.0, 3.1.3.7): `optional` checks one
   * that is given. Has no effect on other tokens. Default required.
   */
  nonce: Field.defaulted(Schema.Literals(["required", "optional"]), "required"),
  /** The most characters of a token. From 256 to 65536. Default 16384. */
  maxLength: Field.defaulted(Field.int(256, 65_536), 16_384),
  /** The most levels of its claims. From 1 to 32. Default 8. */
  maxDepth: Field.defaulted(Field.int(1, 32), 8),
  /** The most members of its claims, nested ones included. From 8 to 4096. Default 256. */
  maxMembers: Field.defaulted(Field.int(8, 4096), 256),
  /** The most audiences of a token. From 1 to 1024. Default 64. */
  maxAudiences: Field.defaulted(Field.int(1, 1024), 64),
  /**
   * The most tokens whose signature is remembered. 0 verifies each every time, also the same one at the same time, and remembers
   * no refusals either. From 0 to 1000000. Default 20000.
   */
  cacheEntries: Field.defaulted(Field.int(0, 1_000_000), 20_000),
  /** The most bytes that they take, as estimated. From 65536 to 1073741824. Default 33554432. */
  cacheBytes: Field.defaulted(Field.int(65_536, 1_073_741_824), 33_554_432)
}

/** A checked policy. */
export const ValidationPolicy = Schema.Struct(fields)
export type ValidationPolicy = typeof ValidationPolicy.Type

type Optional = Omit<ValidationPolicy, "algorithms" | "audiences" | "issuers" | "profile">

/** What has to be said of every policy. */
export interface Required {
  readonly issuers: ReadonlyArray<string | IssuerTemplate>
  readonly audiences: ReadonlyArray<string>
  readonly algorithms: ReadonlyArray<Algorithm>
}

/** What a preset takes. Durations are `Duration` values or text with a unit. */
export type PresetOptions =
  & Required
  & {
    readonly [K in keyof Optional]?:
      | (Duration.Duration extends Optional[K] ? Field.DurationInput : Optional[K])
      | undefined
  }

/** What `TokenValidator` takes, unchecked. */
export type Options = PresetOptions & { readonly profile?: Profile | undefined }

/**
 * JWT access tokens as RFC 9068 has them: `typ` is `at+jwt`, and `sub`, `client_id`, `iat` and `jti` are there.
 *
 * Many issuers write access tokens of their own form: `jwt` takes those.
 */
export const accessToken = (options: PresetOptions): Options => ({ ...options, profile: "accessToken" })

/**
 * ID tokens of OpenID Connect, for the client whose id is the audience: `sub` and `iat` are there, `azp` is the audience
 * where a token has several, or has it; `nonce` is the one that the call gives, and `at_hash` fits the access token that it
 * gives.
 */
export const idToken = (options: PresetOptions): Options => ({ ...options, profile: "idToken" })

/** JWTs of any other kind. Two kinds of one issuer need two audiences, or two `types` (RFC 8725, 3.11 and 3.12). */
export const jwt = (options: PresetOptions): Options => ({ ...options, profile: "jwt" })

/** A policy from code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound. */
export const make = (options: Options): ValidationPolicy => decodeUnsafe(options)
const decodeUnsafe = Configuration.decodeUnsafe(ValidationPolicy)

/** A policy from a plain object. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const decode: (input: unknown) => Effect.Effect<ValidationPolicy, KeelsonError.ConfigurationError> =
  Configuration
    .decode(ValidationPolicy)

/** A policy from a section of JSON or YAML text; see `Configuration.decodeText`. */
export const decodeText = (
  input: Configuration.Text
): Effect.Effect<ValidationPolicy, KeelsonError.ConfigurationError> => Configuration.decodeText(ValidationPolicy, input)

/** A policy from the environment, below a path; see `Configuration.fromEnvironment`. */
export const config = (path: Configuration.Path): Effect.Effect<ValidationPolicy, KeelsonError.ConfigurationError> =>
  Configuration.fromEnvironment(ValidationPolicy, path)

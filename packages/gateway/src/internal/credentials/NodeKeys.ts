/** The sources of keys: the configuration, the environment, a file, and those of `@aws-sdk/credential-providers`. */
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { readFile } from "node:fs/promises"
import type { Credentials, StaticCredentials } from "../../ReplicaOptions.ts"
import { StoreError } from "../../StoreError.ts"
import type { Keys } from "./keys.ts"
import { constant, type KeySource, refreshing } from "./keySource.ts"

type Source = Effect.Effect<Keys, StoreError>

/** The keys as `@aws-sdk/credential-providers` returns them. */
interface AwsKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
  readonly expiration?: Date | undefined
}

/** A failure of a source. The cause is not kept: its message might quote what it read. */
const failed = (source: string, cause: unknown): StoreError =>
  new StoreError("credentials", {
    message: `No valid credentials from ${source} (${cause instanceof Error ? cause.name : "unknown error"})`
  })

const ofStatic = ({ accessKeyId, secretAccessKey, sessionToken }: StaticCredentials): Keys => ({
  accessKeyId: Redacted.value(accessKeyId),
  secretAccessKey: Redacted.value(secretAccessKey),
  sessionToken: sessionToken === undefined ? undefined : Redacted.value(sessionToken),
  expiresAt: undefined
})

const missing = (name: string): KeelsonError.ConfigurationError =>
  new KeelsonError.ConfigurationError({
    code: "CONFIG_MISSING",
    message: `The environment variable ${name} is not set; credentials.env names what it begins with`,
    details: { variable: name }
  })

const variable = (name: string): Effect.Effect<Option.Option<string>> =>
  Effect.match(Config.NonEmptyString(name), { onSuccess: Option.some, onFailure: () => Option.none() })

const ofEnvironment = Effect.fnUntraced(
  function*(prefix: string): Effect.fn.Return<Keys, KeelsonError.ConfigurationError> {
    const required = (name: string) =>
      Effect.flatMap(variable(name), Option.match({ onNone: () => Effect.fail(missing(name)), onSome: Effect.succeed }))
    return {
      accessKeyId: yield* required(`${prefix}_ACCESS_KEY_ID`),
      secretAccessKey: yield* required(`${prefix}_SECRET_ACCESS_KEY`),
      sessionToken: Option.getOrUndefined(yield* variable(`${prefix}_SESSION_TOKEN`)),
      expiresAt: undefined
    }
  }
)

const KeyFile = Schema.fromJsonString(Schema.Struct({
  accessKeyId: Schema.NonEmptyString,
  secretAccessKey: Schema.NonEmptyString,
  sessionToken: Schema.optionalKey(Schema.NonEmptyString),
  expiration: Schema.optionalKey(Schema.DateTimeUtcFromString)
}))

const decodeFile = Schema.decodeUnknownEffect(KeyFile)

/** How long keys of a file without an expiration are used before it is read again. */
const rereadAfter = 60_000

const ofFile = (path: string): Source =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) => failed("the file of credentials", cause)
  }).pipe(
    Effect.flatMap((text) => Effect.mapError(decodeFile(text), (cause) => failed("the file of credentials", cause))),
    Effect.flatMap((read) =>
      Effect.map(Clock.currentTimeMillis, (now) => ({
        accessKeyId: read.accessKeyId,
        secretAccessKey: read.secretAccessKey,
        sessionToken: read.sessionToken,
        expiresAt: read.expiration?.epochMilliseconds ?? now + 2 * rereadAfter
      }))
    )
  )

const library = Effect.tryPromise({
  try: () => import("@aws-sdk/credential-providers"),
  catch: (cause) =>
    new KeelsonError.ConfigurationError({
      code: "INVALID_CONFIG",
      message:
        "credentials.profile, webIdentity and platform need the package @aws-sdk/credential-providers: install it",
      cause
    })
})

/** How long a source may take: those of the library may wait for ever. */
const limit = "20 seconds"

const ofProvider = (source: string, provider: () => Promise<AwsKeys>): Source =>
  Effect.map(
    Effect.timeoutOrElse(Effect.tryPromise({ try: provider, catch: (cause) => failed(source, cause) }), {
      duration: limit,
      orElse: () =>
        Effect.fail(new StoreError("credentials", { message: `No credentials from ${source} within ${limit}` }))
    }),
    ({ accessKeyId, expiration, secretAccessKey, sessionToken }) => ({
      accessKeyId,
      secretAccessKey,
      sessionToken,
      expiresAt: expiration?.getTime()
    })
  )

const isContainer = (): boolean =>
  process.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] !== undefined ||
  process.env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] !== undefined

const ofLibrary = Effect.fnUntraced(
  function*({ profile, webIdentity }: Credentials, region: string) {
    const providers = yield* library
    if (profile !== undefined) {
      // Made for each refresh: a provider keeps the files that it has read.
      return [
        "the profile",
        ofProvider("the profile", () => providers.fromIni({ profile, ignoreCache: true })())
      ] as const
    }
    if (webIdentity !== undefined) {
      const { roleArn, sessionName, tokenFile } = webIdentity
      const provider = providers.fromTokenFile({
        webIdentityTokenFile: tokenFile,
        roleArn,
        roleSessionName: sessionName,
        clientConfig: { region }
      })
      return ["the web identity", ofProvider("the web identity", provider)] as const
    }
    const provider = isContainer()
      ? providers.fromHttp()
      : providers.fromInstanceMetadata({ timeout: 2000, maxRetries: 2 })
    return ["the platform", ofProvider("the platform", provider)] as const
  }
)

/**
 * The source of keys of a store; `undefined` if requests are not signed.
 *
 * Fails with `ConfigurationError` if a variable is missing (`CONFIG_MISSING`), or a package is (`INVALID_CONFIG`).
 */
export const keySourceOf = Effect.fnUntraced(
  function*(
    credentials: Credentials | undefined,
    region: string
  ): Effect.fn.Return<KeySource | undefined, KeelsonError.ConfigurationError, Scope.Scope> {
    if (credentials === undefined || credentials.anonymous === true) return undefined
    if (credentials.static !== undefined) return constant(ofStatic(credentials.static))
    if (credentials.env !== undefined) return constant(yield* ofEnvironment(credentials.env))
    if (credentials.file !== undefined) return yield* refreshing("the file of credentials", ofFile(credentials.file))
    const [name, source] = yield* ofLibrary(credentials, region)
    return yield* refreshing(name, source)
  }
)

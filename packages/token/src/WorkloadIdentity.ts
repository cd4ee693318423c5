/**
 * Workload identity: tokens that a platform gives to its workloads, in place of a stored secret.
 *
 * A `WorkloadIdentity` has two uses. Its `assertion` authenticates a client to an authorization server that trusts the platform
 * (RFC 7523, 2.2). It is also a `TokenSource`, whose token is sent to an API that trusts the platform itself.
 *
 * A source asks only the endpoint that it is named after. Its requests follow no redirect, and use https, or http to a
 * documented metadata address or to this machine.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { AwsCredentials } from "./internal/workload/awsSignature.ts"
import { makeFirstOf } from "./internal/workload/firstOf.ts"
import { accessToken } from "./internal/workload/gcp.ts"
import { isRetryable } from "./internal/workload/metadataRequest.ts"
import type { Make } from "./internal/workload/platforms.ts"
import * as sources from "./internal/workload/platforms.ts"
import { type Acquire, bounded, endpointOf } from "./internal/workload/sources.ts"
import { unavailable, type WorkloadIdentityError } from "./internal/workload/workloadToken.ts"
import type { TokenResponse, TokenSource } from "./TokenSource.ts"
import { type Options, WorkloadIdentityOptions } from "./WorkloadIdentityOptions.ts"

export type { AwsCredentials } from "./internal/workload/awsSignature.ts"
export { MetadataHttpClient } from "./internal/workload/metadataRequest.ts"

/**
 * The errors of asking a platform for a token.
 *
 * - `AuthenticationError`: the workload does not run on the platform, or has no identity there
 *   (`WORKLOAD_IDENTITY_UNAVAILABLE`); the token is unreadable, malformed, expired or for another audience
 *   (`WORKLOAD_TOKEN_INVALID`). `reason` in the details says which.
 * - `NetworkError`: the endpoint was unreachable (`TIMEOUT`, `NETWORK_ERROR`, `TLS_FAILED`), is busy (`RATE_LIMITED`,
 *   `UPSTREAM_UNAVAILABLE`), redirected (`EGRESS_REFUSED`), or sent too much (`RESPONSE_TOO_LARGE`).
 */
export type { WorkloadIdentityError } from "./internal/workload/workloadToken.ts"

/** The identity of a workload on its platform. Each use asks the platform for the current token. */
export interface WorkloadIdentity extends TokenSource {
  /** The name of the platform, for logs; for a file also its path or variable. */
  readonly name: string
  /** The token, for `ClientAuth.clientAssertion` and other grants that take an assertion. */
  readonly assertion: Effect.Effect<Redacted.Redacted, WorkloadIdentityError>
  /** The token with its lifetime, as a source of a `TokenProvider` or guard. */
  readonly acquire: Effect.Effect<TokenResponse, WorkloadIdentityError>
}

type ConfigurationError = KeelsonError.ConfigurationError

/** The options of one platform, out of those of `WorkloadIdentityOptions`. */
type Given<A> = { readonly [K in keyof A]-?: Exclude<A[K], undefined> }
type OptionsOf<Required extends keyof Options, Optional extends keyof Options> =
  & Given<Pick<Options, Required>>
  & Pick<Options, Optional | "maxBytes" | "timeout">

const identityOf = (name: string, acquire: Acquire): WorkloadIdentity => ({
  name,
  acquire,
  isRetryable,
  assertion: Effect.map(acquire, ({ accessToken }) => accessToken)
})

const decode = Configuration.decode(WorkloadIdentityOptions)

/** Of a file also which one, since a program can have several. */
const nameOf = ({ path, pathVariable, platform }: WorkloadIdentityOptions): string =>
  platform === "file" ? `file ${pathVariable ?? path}` : platform

const make = <R>(options: WorkloadIdentityOptions, source: Make<R>) =>
  Effect.map(source(options), (acquire) => identityOf(nameOf(options), bounded(acquire, options.timeout)))

const decoded = <R>(options: Options, source: Make<R>) =>
  Effect.flatMap(decode(options), (checked) => make(checked, source))

/**
 * A source of checked options (`WorkloadIdentityOptions`), which can be read from a file or the environment.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) if a URL of the platform's environment may not be requested.
 */
export const fromOptions = (
  options: WorkloadIdentityOptions
): Effect.Effect<WorkloadIdentity, ConfigurationError, FileSystem.FileSystem> =>
  make(options, sources.platforms[options.platform])

/** Options of `file`: either `path` or `pathVariable`. */
export type FileOptions = OptionsOf<never, "audience" | "path" | "pathVariable">

/**
 * The JWT of a file that the platform replaces before it expires: a projected service account token of Kubernetes,
 * `AZURE_FEDERATED_TOKEN_FILE`, `AWS_WEB_IDENTITY_TOKEN_FILE`, or a JWT-SVID written by `spiffe-helper`.
 *
 * Each use checks whether the file was replaced. While it is empty, cut off or missing, the last good token is used until it
 * expires. `audience` is checked before the token is sent anywhere.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (A projected service account token)
 *
 * ```ts import.meta.vitest
 * import { WorkloadIdentity } from "@keelson/token"
 * import { Effect, FileSystem } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const identity = yield* WorkloadIdentity.file({
 *     path: "/var/run/secrets/tokens/idp",
 *     audience: "https://idp.example"
 *   })
 *   // OAuthClient.clientCredentials({ …, auth: ClientAuth.clientAssertion(identity.assertion) })
 *   return yield* Effect.flip(identity.assertion)
 * })
 *
 * // On Node: NodeFileSystem.layer.
 * const error = await Effect.runPromise(Effect.provide(program, FileSystem.layerNoop({})))
 * error.message // => "The token file /var/run/secrets/tokens/idp cannot be read"
 * ```
 */
export const file = (
  options: FileOptions
): Effect.Effect<WorkloadIdentity, ConfigurationError, FileSystem.FileSystem> =>
  decoded({ ...options, platform: "file" }, sources.file)

/** Options of `githubActions`. */
export type GithubActionsOptions = OptionsOf<"audience", never>

/**
 * The OIDC token of a GitHub Actions job, which needs the permission `id-token: write`. Each use requests a new token. It
 * expires after minutes, and the request fails once the job has ended.
 */
export const githubActions = (
  options: GithubActionsOptions
): Effect.Effect<WorkloadIdentity, ConfigurationError> =>
  decoded({ ...options, platform: "githubActions" }, sources.githubActions)

/** Options of `gcp`. */
export type GcpOptions = OptionsOf<"audience", "endpoint" | "format" | "serviceAccount">

/**
 * An identity token of a Google Cloud service account, from the metadata server of Compute Engine, GKE, Cloud Run and others.
 */
export const gcp = (
  options: GcpOptions
): Effect.Effect<WorkloadIdentity, ConfigurationError> => decoded({ ...options, platform: "gcp" }, sources.gcp)

/** Options of `gcpAccessToken`. */
export interface GcpAccessTokenOptions extends OptionsOf<never, "endpoint" | "serviceAccount"> {
  /** The scopes of the token. Without them, those of the machine. At most 100, each from 1 to 256 characters. Default none. */
  readonly scopes?: ReadonlyArray<string> | undefined
}

const Scopes = Schema.Array(Field.text(1, 256)).check(
  Schema.isMaxLength(100, { expected: "a list of at most 100 scopes" })
)
const decodeScopes = Configuration.decode(Scopes, ["scopes"])

/**
 * Access tokens of a Google Cloud service account for Google's APIs, from the metadata server. They are no assertions: an
 * authorization server that got one could use it.
 */
export const gcpAccessToken = (
  { scopes = [], ...input }: GcpAccessTokenOptions = {}
): Effect.Effect<TokenSource, ConfigurationError> =>
  Effect.gen(function*() {
    // `audience` is required of the platform, and has no effect on an access token.
    const options = yield* decode({ ...input, platform: "gcp", audience: "-" })
    const endpoint = yield* endpointOf("endpoint", options.endpoint ?? sources.instanceEndpoint)
    const serviceAccount = options.serviceAccount ?? "default"
    const acquire = accessToken(
      { endpoint, serviceAccount, limits: sources.limitsOf(options) },
      yield* decodeScopes(scopes)
    )
    return { acquire: bounded(acquire, options.timeout), isRetryable }
  })

/** Options of `azureManagedIdentity`. */
export type AzureManagedIdentityOptions = OptionsOf<"resource", "clientId" | "endpoint">

/**
 * A token of an Azure managed identity, from the Instance Metadata Service of a virtual machine. It is an access token for
 * `resource`; with `api://AzureADTokenExchange` it is an assertion.
 *
 * 404, 410, 429 and 5xx are retried within `timeout`: an update of the service can take 70 seconds.
 */
export const azureManagedIdentity = (
  options: AzureManagedIdentityOptions
): Effect.Effect<WorkloadIdentity, ConfigurationError> =>
  decoded({ ...options, platform: "azureManagedIdentity" }, sources.azureManagedIdentity)

/** Options of `azureAppService`. */
export type AzureAppServiceOptions = OptionsOf<"resource", "clientId">

/** A token of an Azure managed identity, from the endpoint of App Service, Functions and Container Apps. */
export const azureAppService = (
  options: AzureAppServiceOptions
): Effect.Effect<WorkloadIdentity, ConfigurationError> =>
  decoded({ ...options, platform: "azureAppService" }, sources.azureAppService)

/** Options of `aws`. */
export interface AwsOptions extends OptionsOf<"audience", "endpoint" | "lifetime" | "region" | "signingAlgorithm"> {
  /**
   * Where the credentials that sign the request come from: `environment`, `container` (ECS, EKS Pod Identity), `instance` (EC2),
   * or an effect that runs for each token, such as a provider of the AWS SDK. Required.
   */
  readonly credentials:
    | "environment"
    | "container"
    | "instance"
    | Effect.Effect<AwsCredentials, unknown>
}

const unreadableCredentials = () =>
  unavailable("The credentials that sign the request could not be read", { reason: "credentials" })

/**
 * A JWT for a server outside of AWS, from `GetWebIdentityToken` of AWS STS. The account must have outbound identity federation
 * enabled, and the role needs the permission `sts:GetWebIdentityToken`.
 *
 * For a pod with an IAM role for its service account, use `file` with `AWS_WEB_IDENTITY_TOKEN_FILE` or a projected token.
 */
export const aws = (
  { credentials, ...options }: AwsOptions
): Effect.Effect<WorkloadIdentity, ConfigurationError, FileSystem.FileSystem> =>
  Effect.isEffect(credentials)
    ? decoded(
      { ...options, platform: "aws", credentials: "environment" },
      sources.makeAws(Effect.mapError(credentials, unreadableCredentials))
    )
    : decoded({ ...options, platform: "aws", credentials }, sources.makeAws())

/** Options of `kubernetes`. */
export type KubernetesOptions = OptionsOf<"audience", "endpoint" | "lifetime" | "path">

/**
 * A token of the pod's service account for another audience, from the TokenRequest API. Use it for audiences that are known at
 * run time only; for others, a projected token and `file` need no request and no permission.
 *
 * `TokenHttpClient` must trust the certificate authority of the cluster.
 */
export const kubernetes = (
  options: KubernetesOptions
): Effect.Effect<WorkloadIdentity, ConfigurationError, FileSystem.FileSystem> =>
  decoded({ ...options, platform: "kubernetes" }, sources.kubernetes)

/** Options of `firstOf`. */
export interface FirstOfOptions {
  /** Time limit of one use, whichever sources are asked. From 100 millis to 5 minutes. Default 5 seconds. */
  readonly within?: Field.DurationInput | undefined
}

/** Checked options of `firstOf`. */
export const FirstOf = Schema.Struct({
  within: Field.defaulted(Field.duration("100 millis", "5 minutes"), Duration.seconds(5))
})

const decodeFirstOf = Decoders.decoders<FirstOfOptions, typeof FirstOf>(FirstOf).decode

/**
 * The first of several sources that has a token, for a program that runs on several platforms. Sources are asked in their
 * order: the next one is asked when one fails, and when none has answered for an equal share of `within`.
 *
 * The choice is kept until that source fails, and logged when it changes. If no source has a token, it fails with
 * `WORKLOAD_IDENTITY_UNAVAILABLE`; with `TIMEOUT` if one of them did not answer. The message has the code of each source.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) without sources, and if the options of one are wrong.
 */
export const firstOf = <R = never>(
  from: ReadonlyArray<Effect.Effect<WorkloadIdentity, ConfigurationError, R>>,
  options: FirstOfOptions = {}
): Effect.Effect<WorkloadIdentity, ConfigurationError, R> =>
  Effect.gen(function*() {
    const { within } = yield* decodeFirstOf(options)
    if (from.length === 0) return yield* Effect.fail(InvalidConfig.option("sources", "at least one source"))
    const identities = yield* Effect.all(from)
    return identityOf(identities.map(({ name }) => name).join(" | "), makeFirstOf(identities, within))
  })

/** Options of `detect`. */
export interface DetectOptions extends FirstOfOptions {
  /** The server that the token is for, as its `aud`. From 1 to 1000 characters. Required. */
  readonly audience: string
}

/**
 * The identity that the environment names: `AZURE_FEDERATED_TOKEN_FILE`, `AWS_WEB_IDENTITY_TOKEN_FILE` or GitHub Actions. A file
 * is used only if its token is for `audience`. No metadata endpoint is asked: name those in `firstOf`.
 */
export const detect = (
  { audience, within }: DetectOptions
): Effect.Effect<WorkloadIdentity, ConfigurationError, FileSystem.FileSystem> =>
  firstOf([
    file({ pathVariable: "AZURE_FEDERATED_TOKEN_FILE", audience }),
    file({ pathVariable: "AWS_WEB_IDENTITY_TOKEN_FILE", audience }),
    githubActions({ audience })
  ], { within })

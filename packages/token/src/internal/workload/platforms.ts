import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import type { Platform, WorkloadIdentityOptions } from "../../WorkloadIdentityOptions.ts"
import type { ExchangeLimits } from "../oauth/exchange.ts"
import { containerCredentials, instanceCredentials } from "./awsCredentials.ts"
import type { AwsCredentials } from "./awsSignature.ts"
import { outboundToken } from "./awsToken.ts"
import { appServiceToken, instanceToken } from "./azure.ts"
import { identityToken } from "./gcp.ts"
import { jobToken } from "./githubActions.ts"
import { podTokenPath, requestToken } from "./kubernetes.ts"
import { type Acquire, endpointOf, missingVariable, variable, withVariables } from "./sources.ts"
import { fileOrigin, makeTokenFile, readSecretFile } from "./tokenFile.ts"
import { usable, type WorkloadIdentityError } from "./workloadToken.ts"

/** Makes a source of checked options. The options' schema requires those that a platform needs. */
export type Make<R = never> = (
  options: WorkloadIdentityOptions
) => Effect.Effect<Acquire, KeelsonError.ConfigurationError, R>

export const limitsOf = ({ maxBytes, timeout }: WorkloadIdentityOptions): ExchangeLimits => ({ maxBytes, timeout })

/** Metadata services of virtual machines, on all clouds. */
export const instanceEndpoint = "http://169.254.169.254"

export const file: Make<FileSystem.FileSystem> = ({ audience, maxBytes, path, pathVariable = "" }) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => {
    const acquire = (file: string): Acquire =>
      Effect.flatMap(makeTokenFile({ path: file, audience, maxBytes }, fs), (jwt) => usable(jwt, fileOrigin(file)))
    return path === undefined
      ? withVariables([pathVariable], (values) => Effect.succeed(acquire(values[pathVariable] ?? "")))
      : Effect.succeed(acquire(path))
  })

export const githubActions: Make = (options) =>
  withVariables(
    ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"],
    (values) =>
      Effect.map(endpointOf("ACTIONS_ID_TOKEN_REQUEST_URL", values.ACTIONS_ID_TOKEN_REQUEST_URL), (url) =>
        jobToken({
          url,
          requestToken: Redacted.make(values.ACTIONS_ID_TOKEN_REQUEST_TOKEN, { label: "requestToken" }),
          audience: options.audience ?? "",
          limits: limitsOf(options)
        }))
  )

export const gcp: Make = (options) =>
  Effect.map(endpointOf("endpoint", options.endpoint ?? instanceEndpoint), (endpoint) =>
    identityToken(
      { endpoint, serviceAccount: options.serviceAccount ?? "default", limits: limitsOf(options) },
      { audience: options.audience ?? "", format: options.format ?? "standard" }
    ))

const wanted = (options: WorkloadIdentityOptions) => ({
  resource: options.resource ?? "",
  clientId: options.clientId,
  limits: limitsOf(options)
})

export const azureManagedIdentity: Make = (options) =>
  Effect.map(
    endpointOf("endpoint", options.endpoint ?? instanceEndpoint),
    (endpoint) => instanceToken(endpoint, wanted(options))
  )

export const azureAppService: Make = (options) =>
  withVariables(
    ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"],
    ({ IDENTITY_ENDPOINT, IDENTITY_HEADER }) =>
      Effect.map(endpointOf("IDENTITY_ENDPOINT", IDENTITY_ENDPOINT, "linkLocal"), (endpoint) =>
        appServiceToken(endpoint, Redacted.make(IDENTITY_HEADER, { label: "identityHeader" }), wanted(options)))
  )

export const kubernetes: Make<FileSystem.FileSystem> = (options) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => {
    const path = options.path ?? podTokenPath
    const own = makeTokenFile({ path, audience: undefined, maxBytes: options.maxBytes }, fs)
    const lifetime = options.lifetime ?? Duration.minutes(10)
    const acquire = (server: URL): Acquire =>
      requestToken({ server, own, path, audience: options.audience ?? "", lifetime, limits: limitsOf(options) })
    if (options.endpoint !== undefined) return Effect.map(endpointOf("endpoint", options.endpoint), acquire)
    return withVariables(["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"], (values) => {
      const host = values.KUBERNETES_SERVICE_HOST
      const url = `https://${host.includes(":") ? `[${host}]` : host}:${values.KUBERNETES_SERVICE_PORT}`
      return Effect.map(endpointOf("KUBERNETES_SERVICE_HOST", url), acquire)
    })
  })

/** Where the credentials that sign a request to STS come from. */
export type Credentials = Effect.Effect<AwsCredentials, WorkloadIdentityError>

const environmentCredentials = withVariables(
  ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
  (values) =>
    Effect.map(variable("AWS_SESSION_TOKEN"), (session): Credentials =>
      Effect.succeed({
        accessKeyId: values.AWS_ACCESS_KEY_ID,
        secretAccessKey: Redacted.make(values.AWS_SECRET_ACCESS_KEY, { label: "secretAccessKey" }),
        ...(session === undefined ? undefined : { sessionToken: Redacted.make(session, { label: "sessionToken" }) })
      }))
)

/** The address of the endpoint of ECS, for the variable that contains a path only. */
const ecs = "http://169.254.170.2"

const inContainer = (options: WorkloadIdentityOptions, fs: FileSystem.FileSystem) =>
  Effect.gen(function*() {
    const path = yield* variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    const full = path === undefined ? yield* variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") : `${ecs}${path}`
    if (full === undefined) return Effect.fail(missingVariable("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
    const url = yield* endpointOf("AWS_CONTAINER_CREDENTIALS_FULL_URI", full)
    const file = yield* variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    const text = yield* variable("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    const fixed = text === undefined ? undefined : Redacted.make(text, { label: "authorization" })
    const authorization = file === undefined
      ? Effect.succeed(fixed)
      : readSecretFile({ path: file, maxBytes: options.maxBytes }, fs)
    return containerCredentials(url, authorization, limitsOf(options))
  })

const credentialsOf = (
  options: WorkloadIdentityOptions,
  fs: FileSystem.FileSystem
): Effect.Effect<Credentials, KeelsonError.ConfigurationError> => {
  if (options.credentials === "environment") return environmentCredentials
  if (options.credentials === "container") return inContainer(options, fs)
  return Effect.gen(function*() {
    const name = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
    const endpoint = yield* endpointOf(name, (yield* variable(name)) ?? instanceEndpoint)
    return instanceCredentials(endpoint, limitsOf(options))
  })
}

/** China has a domain of its own. */
const stsEndpoint = (region: string): string =>
  `https://sts.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}/`

/** A token of STS. `own` replaces the credentials of the options. */
export const makeAws = (own?: Credentials): Make<FileSystem.FileSystem> => (options) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const region = options.region ?? (yield* variable("AWS_REGION")) ?? (yield* variable("AWS_DEFAULT_REGION"))
    if (region === undefined) return Effect.fail(missingVariable("AWS_REGION"))
    if (!/^[a-z0-9-]{1,64}$/.test(region)) {
      return yield* Effect.fail(InvalidConfig.option("AWS_REGION", "the name of a region"))
    }
    return outboundToken({
      endpoint: yield* endpointOf("endpoint", options.endpoint ?? stsEndpoint(region)),
      region,
      credentials: own ?? (yield* credentialsOf(options, fs)),
      audience: options.audience ?? "",
      signingAlgorithm: options.signingAlgorithm ?? "ES384",
      lifetime: options.lifetime ?? Duration.minutes(5),
      limits: limitsOf(options)
    })
  })

/** The sources by the name of their platform. */
export const platforms: Readonly<Record<Platform, Make<FileSystem.FileSystem>>> = {
  file,
  githubActions,
  gcp,
  azureManagedIdentity,
  azureAppService,
  aws: makeAws(),
  kubernetes
}

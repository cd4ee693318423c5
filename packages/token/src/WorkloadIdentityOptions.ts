/**
 * Options of a source of `WorkloadIdentity`: checked data from code, a file or the environment.
 */
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { checkEndpoint, expectedEndpoint } from "./internal/workload/endpoint.ts"

/** Options of a source. Which of them a platform has is in the guide; all others must be left out. */
export interface Options {
  /**
   * The platform that identifies the workload: `file`, `githubActions`, `gcp`, `azureManagedIdentity`, `azureAppService`, `aws`
   * or `kubernetes`. Required.
   */
  readonly platform: Platform
  /**
   * The server that the token is for, as its `aud`. A token for another one is refused. Required by `githubActions`, `gcp`, `aws`
   * and `kubernetes`. From 1 to 1000 characters. Default none.
   */
  readonly audience?: string | undefined
  /**
   * The path of the file; for `kubernetes`, of the pod's own token, which is
   * `/var/run/secrets/kubernetes.io/serviceaccount/token` otherwise. From 1 to 4096 characters. Default none.
   */
  readonly path?: string | undefined
  /**
   * The environment variable that contains the path of the file, such as `AZURE_FEDERATED_TOKEN_FILE`, in place of `path`. From
   * 1 to 128 characters. Default none.
   */
  readonly pathVariable?: string | undefined
  /**
   * For Azure, which requires it: the App ID URI of the API that the token is for; `api://AzureADTokenExchange` for an
   * assertion. From 1 to 1000 characters. Default none.
   */
  readonly resource?: string | undefined
  /**
   * For Azure: the client id of a user-assigned identity. Without it, the system-assigned one. From 1 to 256 characters. Default
   * none.
   */
  readonly clientId?: string | undefined
  /**
   * For `gcp`: `full` for a token that also has claims about the machine. Without it, `standard`. Default none.
   */
  readonly format?: "standard" | "full" | undefined
  /**
   * For `gcp`: the email address of a service account of the machine. Without it, the main one. From 1 to 256 characters. Default
   * none.
   */
  readonly serviceAccount?: string | undefined
  /**
   * For `aws`, which requires it: where the credentials that sign the request come from: `environment`, `container` (ECS, EKS Pod
   * Identity) or `instance` (EC2). Default none.
   */
  readonly credentials?: "environment" | "container" | "instance" | undefined
  /**
   * For `aws`: the region of STS. Without it, that of `AWS_REGION` or `AWS_DEFAULT_REGION`. From 1 to 64 characters. Default
   * none.
   */
  readonly region?: string | undefined
  /** For `aws`: the algorithm that STS signs with. Without it, ES384. Default none. */
  readonly signingAlgorithm?: "ES384" | "RS256" | undefined
  /**
   * The lifetime of the token: at most 1 hour for `aws`, and 5 minutes without it; at least 10 minutes for `kubernetes`, and 10
   * minutes without it. From 1 minute to 24 hours. Default none.
   */
  readonly lifetime?: Field.DurationInput | undefined
  /**
   * The origin of the platform's endpoint, in place of the documented one: https, or http to a documented metadata address or to
   * this machine. From 1 to 2048 characters. Default none.
   */
  readonly endpoint?: string | undefined
  /** Time limit of one token, retries included. From 100 millis to 5 minutes. Default 10 seconds. */
  readonly timeout?: Field.DurationInput | undefined
  /** Upper bound of the file, or of a response after decompression, in bytes. From 1024 to 1048576. Default 65536. */
  readonly maxBytes?: number | undefined
}

/** A platform that identifies its workloads. */
export type Platform =
  | "file"
  | "githubActions"
  | "gcp"
  | "azureManagedIdentity"
  | "azureAppService"
  | "aws"
  | "kubernetes"

const platforms = [
  "file",
  "githubActions",
  "gcp",
  "azureManagedIdentity",
  "azureAppService",
  "aws",
  "kubernetes"
] as const satisfies ReadonlyArray<Platform>

const matching = (pattern: RegExp, expected: string) => Schema.String.check(Schema.isPattern(pattern, { expected }))

const Fields = Schema.Struct({
  platform: Schema.Literals(platforms),
  audience: Schema.optionalKey(Field.text(1, 1000)),
  path: Schema.optionalKey(Field.text(1, 4096)),
  pathVariable: Schema.optionalKey(
    matching(/^[A-Za-z_]\w{0,127}$/, "the name of an environment variable, from 1 to 128 characters")
  ),
  resource: Schema.optionalKey(Field.text(1, 1000)),
  clientId: Schema.optionalKey(Field.text(1, 256)),
  format: Schema.optionalKey(Schema.Literals(["standard", "full"])),
  serviceAccount: Schema.optionalKey(
    matching(/^[\w.@-]{1,256}$/, "the email address of a service account, from 1 to 256 characters")
  ),
  credentials: Schema.optionalKey(Schema.Literals(["environment", "container", "instance"])),
  region: Schema.optionalKey(matching(/^[a-z0-9-]{1,64}$/, "the name of a region, from 1 to 64 characters")),
  signingAlgorithm: Schema.optionalKey(Schema.Literals(["ES384", "RS256"])),
  lifetime: Schema.optionalKey(Field.duration("1 minute", "24 hours")),
  endpoint: Schema.optionalKey(Field.text(1, 2048)),
  timeout: Field.defaulted(Field.duration("100 millis", "5 minutes"), Duration.seconds(10)),
  maxBytes: Field.defaulted(Field.int(1_024, 1_048_576), 65_536)
})
type Fields = typeof Fields.Type
type Member = Exclude<keyof Fields, "platform" | "timeout" | "maxBytes">

/** Which options a platform has. */
const members: Readonly<
  Record<Platform, { readonly required: ReadonlyArray<Member>; readonly optional: ReadonlyArray<Member> }>
> = {
  file: { required: [], optional: ["audience", "path", "pathVariable"] },
  githubActions: { required: ["audience"], optional: [] },
  gcp: { required: ["audience"], optional: ["endpoint", "format", "serviceAccount"] },
  azureManagedIdentity: { required: ["resource"], optional: ["clientId", "endpoint"] },
  azureAppService: { required: ["resource"], optional: ["clientId"] },
  aws: {
    required: ["audience", "credentials"],
    optional: ["endpoint", "lifetime", "region", "signingAlgorithm"]
  },
  kubernetes: { required: ["audience"], optional: ["endpoint", "lifetime", "path"] }
}

const names: ReadonlyArray<Member> = [
  "audience",
  "path",
  "pathVariable",
  "resource",
  "clientId",
  "format",
  "serviceAccount",
  "credentials",
  "region",
  "signingAlgorithm",
  "lifetime",
  "endpoint"
]

const fitPlatform = Schema.makeFilter((options: Fields) => {
  const { optional, required } = members[options.platform]
  const missing = required.find((name) => options[name] === undefined)
  if (missing !== undefined) return { path: [missing], issue: `given for ${options.platform}` }
  const foreign = names.find((name) =>
    options[name] !== undefined && !required.includes(name) && !optional.includes(name)
  )
  return foreign === undefined || { path: [foreign], issue: `left out for ${options.platform}` }
})

const hasOnePath = Schema.makeFilter(({ path, pathVariable, platform }: Fields) =>
  platform !== "file" || (path === undefined) !== (pathVariable === undefined) ||
  { path: ["path"], issue: path === undefined ? "given where there is no pathVariable" : "left out with pathVariable" }
)

const isEndpoint = Schema.makeFilter(({ endpoint }: Fields) =>
  endpoint === undefined || checkEndpoint(endpoint) !== undefined || { path: ["endpoint"], issue: expectedEndpoint }
)

const isLifetime = Schema.makeFilter(({ lifetime, platform }: Fields) => {
  if (lifetime === undefined) return true
  const isTooLong = platform === "aws" && Duration.isGreaterThan(lifetime, Duration.hours(1))
  const isTooShort = platform === "kubernetes" && Duration.isLessThan(lifetime, Duration.minutes(10))
  return (!isTooLong && !isTooShort) ||
    { path: ["lifetime"], issue: isTooLong ? "at most 1 hour for aws" : "at least 10 minutes for kubernetes" }
})

/** Checked options of a source. */
export const WorkloadIdentityOptions = Fields.check(fitPlatform, hasOnePath, isEndpoint, isLifetime)
export type WorkloadIdentityOptions = typeof WorkloadIdentityOptions.Type

const fromCode = Decoders.maker<Options, typeof WorkloadIdentityOptions>(WorkloadIdentityOptions)

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (From text)
 *
 * ```ts import.meta.vitest
 * import { Configuration } from "@keelson/core"
 * import { WorkloadIdentityOptions } from "@keelson/token"
 * import { Effect } from "effect"
 *
 * const text = `
 * platform: file
 * pathVariable: AZURE_FEDERATED_TOKEN_FILE
 * audience: api://AzureADTokenExchange
 * `
 * const decoded = Configuration.decodeText(WorkloadIdentityOptions.WorkloadIdentityOptions, { format: "yaml", text })
 *
 * const options = await Effect.runPromise(decoded)
 * options.maxBytes // => 65536
 * ```
 */
export const make: (options: Options) => WorkloadIdentityOptions = fromCode

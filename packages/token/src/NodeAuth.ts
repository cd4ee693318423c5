/**
 * Protects APIs in Express, Fastify and Hono, for applications without Effect: one function and promises.
 *
 * The module's name is `@keelson/token/node`. It imports none of the frameworks.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as LocalDevelopment from "@keelson/core/LocalDevelopment"
import * as Field from "@keelson/core/unstable/Field"
import type { Algorithm } from "@keelson/jwks/Algorithm"
import * as JwksCache from "@keelson/jwks/JwksCache"
import * as JwksOptions from "@keelson/jwks/JwksOptions"
import * as KeySource from "@keelson/jwks/KeySource"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import * as StaticKeys from "@keelson/jwks/StaticKeys"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as BearerAuthentication from "./BearerAuthentication.ts"
import * as Claims from "./Claims.ts"
import * as HttpSecurityOptions from "./HttpSecurityOptions.ts"
import { type ExpressAdapter, makeExpress } from "./internal/adapters/express.ts"
import { type FastifyAdapter, makeFastify } from "./internal/adapters/fastify.ts"
import { Gate } from "./internal/adapters/gate.ts"
import { type HonoAdapter, makeHono, requestOf, type WebRequest } from "./internal/adapters/hono.ts"
import { layerLogger, type LineLogger } from "./internal/adapters/logger.ts"
import { metrics } from "./internal/adapters/metrics.ts"
import { layerRedaction } from "./internal/http/redaction.ts"
import type { ClaimsSchema } from "./internal/validation/claims.ts"
import * as Principal from "./Principal.ts"
import * as ProofReplays from "./ProofReplays.ts"
import * as TokenValidator from "./TokenValidator.ts"
import * as ValidationPolicy from "./ValidationPolicy.ts"
import * as ValidatorOptions from "./ValidatorOptions.ts"

export type { ExpressAdapter, ExpressHandler, ExpressRequest, ExpressResponse } from "./internal/adapters/express.ts"
export type { FastifyAdapter, FastifyHandler, FastifyReply, FastifyRequest } from "./internal/adapters/fastify.ts"
export type { Requirement } from "./internal/adapters/gate.ts"
export type { HonoAdapter, HonoContext, HonoHandler, HonoMiddleware, WebRequest } from "./internal/adapters/hono.ts"
export type { LineLogger } from "./internal/adapters/logger.ts"
export { problemOf, type ProblemResponse } from "./internal/adapters/problem.ts"

/** The default claims: those that RFC 7519 registers, and all others as they are. */
export const AnyClaims = Schema.StructWithRest(
  Schema.Struct({ ...Claims.Jwt.fields, aud: Schema.optionalKey(Claims.Audience) }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)
export type AnyClaims = typeof AnyClaims.Type

/** Options that do not depend on the claims. All but `issuer` and `audience` may be left out. */
export interface CommonOptions
  extends
    Omit<ValidatorOptions.Options, "issuers" | "audiences" | "algorithms" | "keys">,
    Omit<HttpSecurityOptions.Options, "queryParameter">
{
  /** The trusted issuer (`iss`), compared character by character; or a template with its tenants. Required. */
  readonly issuer: string | ValidationPolicy.IssuerTemplateOptions
  /** The accepted audience, or a list of 1 to 64: a token must have one of these in `aud`. Required. */
  readonly audience: string | ReadonlyArray<string>
  /** The accepted signature algorithms. Default RS256, PS256, ES256, EdDSA and Ed25519. */
  readonly algorithms?: ReadonlyArray<Algorithm> | undefined
  /** The keys, instead of those that the issuer publishes; see `StaticKeys`. From 1 to 100 keys. Default none. */
  readonly keys?: StaticKeys.Options["keys"] | undefined
  /** Which URLs may be requested for keys, and through which proxy; see `NodeEgress`. Default none. */
  readonly egress?: NodeEgress.Options | undefined
  /**
   * The record of used DPoP proofs, for an API with several processes: `ProofReplays.layerRedis(...)`. Default: one in the memory of
   * this process.
   */
  readonly replays?: Layer.Layer<ProofReplays.ProofReplays, KeelsonError.ConfigurationError> | undefined
  /** Whether the issuer may use http on this machine. For development only; it logs a warning. Default false. */
  readonly localDevelopment?: boolean | undefined
  /** Receives the log lines, with the fields first, as pino and `console` do. Default: the console, from level info. */
  readonly logger?: LineLogger | undefined
  /** The name in metrics and logs, for a process with several. From 1 to 64 of A-Z, a-z, 0-9, _ and -. Default auth. */
  readonly name?: string | undefined
}

/** Options of `auth` with the default claims. */
export interface Options extends CommonOptions {
  /** Default: the registered claims, and all others as they are. */
  readonly claims?: undefined
  /** Returns the roles in the claims. Default: `roles`, if it is an array of strings. */
  readonly roles?: ((claims: AnyClaims) => ReadonlyArray<string>) | undefined
}

/** Options of `auth` with a schema of the claims. */
export interface ClaimsOptions<S extends ClaimsSchema> extends CommonOptions {
  /** The schema of the claims, such as `Claims.AccessToken`. Required. */
  readonly claims: S
  /** Returns the roles in the claims. Default: `roles`, if it is an array of strings. */
  readonly roles?: ((claims: S["Type"]) => ReadonlyArray<string>) | undefined
}

/** Authenticates the requests of an application. */
export interface Auth<C> {
  /** Middleware for Express. */
  readonly express: ExpressAdapter<C>
  /** Hooks and handlers for Fastify. */
  readonly fastify: FastifyAdapter<C>
  /** Middleware and handlers for Hono. */
  readonly hono: HonoAdapter<C>
  /**
   * The caller of a request that `protect` admitted: the request of Express or Fastify, or the context of Hono. Throws `Error`
   * for any other request.
   */
  readonly caller: (request: object) => Principal.Principal<C>
  /**
   * The caller of a request in any other server: a request of `node:http`, or of the web platform. Rejects with
   * `HttpSecurityError`; `problemOf` makes the response.
   */
  readonly authenticate: (request: BearerAuthentication.Request | WebRequest) => Promise<Principal.Principal<C>>
  /** The metrics of the process in the Prometheus text format. */
  readonly metrics: () => Promise<string>
  /**
   * Ends timers and connections, after the running authentications. Call it after the server has closed: later requests get a
   * 503.
   */
  readonly close: () => Promise<void>
}

const text = Field.text(1, 2048)

/** The options that no other schema checks. */
const OwnOptions = Schema.Struct({
  issuer: Schema.Union([text, ValidationPolicy.IssuerTemplate]),
  audience: Schema.Union([text, Schema.Array(text)]),
  localDevelopment: Field.defaulted(Schema.Boolean, false),
  name: Field.defaulted(JwksOptions.ProviderId, "auth")
})
const decodeOwn = Configuration.decode(OwnOptions)

const httpNames = Struct.keys(Struct.omit(HttpSecurityOptions.HttpSecurityOptions.fields, ["queryParameter"]))

const defaultAlgorithms: ReadonlyArray<Algorithm> = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]

/** Access tokens with and without the type of RFC 9068: without a profile, both are accepted. */
const typesOf = (profile: ValidationPolicy.Profile | undefined) =>
  profile === undefined ? { types: ["JWT", "at+jwt"] } : {}

const keySourceOf = (
  { issuers: [issuer = ""], jwks }: ValidatorOptions.ValidatorOptions,
  { egress, keys }: Pick<CommonOptions, "egress" | "keys">,
  name: string
): Layer.Layer<KeySource.KeySource, KeySource.BuildError> => {
  const sourceName = typeof issuer === "string" ? issuer : issuer.template
  if (keys !== undefined) return StaticKeys.layer({ issuers: [sourceName], keys })
  return KeySource.layerFromCache.pipe(
    Layer.provide(JwksCache.layer({ ...jwks, issuer: sourceName }, { providerId: name })),
    Layer.provide(NodeEgress.layer(egress))
  )
}

/** The authentication as a layer of a service that is private to this module. */
const layerOf = <S extends ClaimsSchema>(
  service: Context.Service<Authentication<S["Type"]>, BearerAuthentication.BearerAuthentication<S["Type"]>>,
  { audience, claims, egress, issuer, keys, localDevelopment, logger, name, replays, roles, ...rest }: ClaimsOptions<S>
) =>
  Layer.unwrap(Effect.gen(function*() {
    const own = yield* decodeOwn({ issuer, audience, localDevelopment, name })
    const options = yield* Configuration.decode(ValidatorOptions.ValidatorOptions)({
      algorithms: defaultAlgorithms,
      ...typesOf(rest.profile),
      ...(keys === undefined ? { jwks: {} } : { keys }),
      ...Struct.omit(rest, httpNames),
      issuers: [own.issuer],
      audiences: typeof own.audience === "string" ? [own.audience] : own.audience
    })
    class Tokens extends TokenValidator.Service<Tokens>()(own.name, { claims }) {}
    class Caller extends Principal.Service<Caller, S["Type"]>()("@keelson/token/node/Caller", { roles }) {}
    const settings = { ...Struct.pick(rest, httpNames), validator: Tokens, principal: Caller }
    const authentication = replays === undefined
      ? Layer.effect(service, BearerAuthentication.make(settings))
      : Layer.effect(service, BearerAuthentication.make({ ...settings, replays: ProofReplays.ProofReplays })).pipe(
        Layer.provide(replays)
      )
    return authentication.pipe(
      Layer.provide(Tokens.layer(ValidatorOptions.policyOf(options))),
      Layer.provide(keySourceOf(options, { egress, keys }, own.name)),
      // The spans of this runtime contain no headers. The application must redact the spans of its own server.
      Layer.provide(rest.header === undefined ? Layer.empty : layerRedaction(rest.header)),
      Layer.provideMerge(own.localDevelopment ? LocalDevelopment.layer : Layer.empty),
      Layer.provideMerge(logger === undefined ? Layer.empty : layerLogger(logger))
    )
  }))

/** The identity of the service. */
interface Authentication<C> {
  readonly claims: C
}

const open = async <S extends ClaimsSchema>(options: ClaimsOptions<S>): Promise<Auth<S["Type"]>> => {
  const service = Context.Service<Authentication<S["Type"]>, BearerAuthentication.BearerAuthentication<S["Type"]>>(
    "@keelson/token/node/Authentication"
  )
  const runtime = ManagedRuntime.make(layerOf(service, options))
  const context = await runtime.context().catch(async (error: unknown) => {
    await runtime.dispose()
    throw error
  })
  const gate = new Gate(Context.get(context, service), runtime.runPromise)
  let closed: Promise<void> | undefined
  return {
    express: makeExpress(gate, metrics),
    fastify: makeFastify(gate, metrics),
    hono: makeHono(gate, metrics),
    caller: (request) => {
      const caller = gate.callerOf(request)
      if (caller === undefined) throw new Error("No protect() admitted this request, so that it has no caller")
      return caller
    },
    authenticate: (request) => gate.authenticate("rawHeaders" in request ? request : requestOf(request)),
    metrics: metrics.text,
    close: () => closed ??= gate.close().then(() => runtime.dispose())
  }
}

const hasClaims = <S extends ClaimsSchema>(options: Options | ClaimsOptions<S>): options is ClaimsOptions<S> =>
  options.claims !== undefined

/**
 * Opens the authentication of an application. Its keys are fetched in the background: an issuer that is down does not keep the
 * application from starting, and requests meanwhile get a 503.
 *
 * Rejects with `ConfigurationError` (`INVALID_CONFIG`, or `KEY_INVALID` for a key), and with `NetworkError` (`EGRESS_REFUSED`)
 * for a URL that must not be fetched.
 *
 * **Example** (A protected route in Express)
 *
 * ```ts
 * import express from "express"
 * import { auth } from "@keelson/token/node"
 *
 * const api = await auth({ issuer: "https://idp.example", audience: "https://api.example" })
 *
 * const app = express()
 * app.get("/reports", api.express.protect("reports:read"), (request, response) => {
 *   response.json({ caller: api.caller(request).subject })
 * })
 * app.listen(3000)
 * ```
 */
export function auth(options: Options): Promise<Auth<AnyClaims>>
export function auth<S extends ClaimsSchema>(options: ClaimsOptions<S>): Promise<Auth<S["Type"]>>
export function auth<S extends ClaimsSchema>(
  options: Options | ClaimsOptions<S>
): Promise<Auth<AnyClaims> | Auth<S["Type"]>> {
  return hasClaims(options) ? open(options) : open<typeof AnyClaims>({ ...options, claims: AnyClaims })
}

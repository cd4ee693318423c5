/** Keelson as plain async functions: the only file of the application that uses Effect. */
import { NodeHttpClient } from "@effect/platform-node"
import { KeySource } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import {
  BearerAuthentication,
  Claims,
  ClientAuth,
  OAuthClient,
  Principal,
  TokenGuard,
  TokenValidator,
  ValidationPolicy
} from "@keelson/token"
import { Context, Effect, Layer, Redacted, References } from "effect"
import { HttpClient } from "effect/http"
import { makeRunner } from "./runner.ts"

export interface Settings {
  readonly issuer: string
  /** The audience of the callers' tokens. */
  readonly audience: string
  /** The API that the application calls, and its client. */
  readonly api: string
  readonly clientId: string
  readonly clientSecret: string
}

export type Caller = Principal.Principal<Claims.AccessToken>

export interface Keelson {
  /** The caller of a request. Rejects with an `HttpSecurityError`. */
  readonly authenticate: (request: BearerAuthentication.Request) => Promise<Caller>
  /** Returns the caller if the token has the scope. Throws an `HttpSecurityError` otherwise. */
  readonly requireScope: (caller: Caller, scope: string) => Caller
  /** The reports of the API, which is called with the application's token. */
  readonly reports: () => Promise<unknown>
  readonly reload: (settings: Settings) => Promise<void>
  readonly close: () => Promise<void>
}

class Tokens extends TokenValidator.Service<Tokens>()("app/Tokens", { claims: Claims.AccessToken }) {}
class CurrentCaller extends Principal.Service<CurrentCaller, Claims.AccessToken>()("app/CurrentCaller") {}
class Callers extends Context.Service<Callers, BearerAuthentication.BearerAuthentication<Claims.AccessToken>>()(
  "app/Callers"
) {}
class Reports extends TokenGuard.Service<Reports>()("app/Reports") {}

// `allowLocalhost` is for this example only: anything not on this machine must use https.
const tokens = ({ audience, issuer }: Settings) =>
  Tokens.layer(ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: ["ES256"] })).pipe(
    Layer.provide(KeySource.layerOidc({ issuer, prefetch: false, retryDelay: "20 millis" })),
    Layer.provide(NodeEgress.layer({ allowLocalhost: true }))
  )

const callers = Layer.effect(
  Callers,
  BearerAuthentication.make({ validator: Tokens, principal: CurrentCaller, realm: "app" })
)

const reports = ({ api, audience, clientId, clientSecret, issuer }: Settings) =>
  Reports.layer({
    name: "reports",
    origins: [api],
    source: OAuthClient.clientCredentials({
      issuer,
      clientId,
      auth: ClientAuth.secretBasic(Redacted.make(clientSecret)),
      scope: "reports:read",
      resource: audience,
      allowLocalhost: true
    }),
    allowLocalhost: true
  }).pipe(Layer.provide(NodeHttpClient.layerUndici))

// Logs go to the console, or to a `Logger` that is provided here. This example prints its report there and hides logs.
const live = (settings: Settings) =>
  Layer.provideMerge(
    Layer.merge(Layer.provide(callers, tokens(settings)), reports(settings)),
    Layer.succeed(References.MinimumLogLevel, "None")
  )

const list = Reports.use((guard) =>
  Effect.flatMap(HttpClient.filterStatusOk(guard).get("/reports"), ({ json }) => json)
)

export const openKeelson = async (settings: Settings): Promise<Keelson> => {
  const { close, reload, run } = await makeRunner(live, settings)
  return {
    authenticate: (request) => run(Callers.use(({ authenticate }) => authenticate(request))),
    requireScope: (caller, scope) =>
      Effect.runSync(Effect.provideService(CurrentCaller.requireScopes(scope), CurrentCaller, caller)),
    reports: () => run(list),
    reload,
    close
  }
}

/** What an application uses of Keelson, as plain async functions: the one file of it that is written in Effect. */
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
  /** Who tokens are for. */
  readonly audience: string
  /** The API that is called, and the client that calls it. */
  readonly api: string
  readonly clientId: string
  readonly clientSecret: string
}

export type Caller = Principal.Principal<Claims.AccessToken>

export interface Keelson {
  /** Who sent a request. Rejects with an `HttpSecurityError`. */
  readonly authenticate: (request: BearerAuthentication.Request) => Promise<Caller>
  /** The caller, whose token has a scope. Throws an `HttpSecurityError`. */
  readonly requireScope: (caller: Caller, scope: string) => Caller
  /** The reports of the API, which is called with a token of our own. */
  readonly reports: () => Promise<unknown>
  readonly reload: (settings: Settings) => Promise<void>
  readonly close: () => Promise<void>
}

class Tokens extends TokenValidator.Service<Tokens>()("app/Tokens", { claims: Claims.AccessToken }) {}
class CurrentCaller extends Principal.Service<CurrentCaller, Claims.AccessToken>()("app/CurrentCaller") {}
class Callers extends Context.Service<Callers, BearerAuthentication.BearerAuthentication<Claims.AccessToken>>()(
  "app/Callers"
) {}
class Reports extends Context.Service<Reports, TokenGuard.TokenGuard>()("app/Reports") {}

// `allowLocalhost` is for this example only: what is not on this machine is https.
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
  Layer.effect(
    Reports,
    TokenGuard.make({
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
    })
  ).pipe(Layer.provide(NodeHttpClient.layerUndici))

// What is logged goes to the console, or to a `Logger` that is provided here. This example shows a report there.
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

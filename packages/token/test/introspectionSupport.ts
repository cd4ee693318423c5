/** A scripted introspection endpoint in virtual time, and validators over it. */
import type { KeelsonError } from "@keelson/core"
import { KeySource } from "@keelson/jwks"
import { issuer, type Pair, sign } from "@keelson/testing/tokens"
import { Clock, Context, Effect, Layer, Redacted, Schema, type Scope } from "effect"
import { HttpClient, type HttpClientError, HttpClientResponse } from "effect/http"
import { ClientAuth, Introspection, TokenHttpClient, TokenValidator, type ValidationPolicy } from "../src/index.ts"

export const endpoint = `${issuer}/introspect`
export const clientId = "api-client"
export const clientSecret = "SecretOfTheApi0123456789"
/** As oidc-provider makes them. */
export const opaque = (name: string): string => `${name}-2YotnFZFEjr1zCsicMWpAA`

export const Claims = Schema.Struct({
  iss: Schema.String,
  aud: Schema.optionalKey(Schema.Union([Schema.String, Schema.Array(Schema.String)])),
  exp: Schema.Number,
  sub: Schema.optionalKey(Schema.String),
  client_id: Schema.optionalKey(Schema.String),
  roles: Schema.optionalKey(Schema.Array(Schema.String))
})

export class OpaqueTokens extends TokenValidator.Service<OpaqueTokens>()("test/OpaqueTokens", { claims: Claims }) {}

/** What the endpoint received. */
interface Asked {
  readonly token: string
  readonly body: URLSearchParams
  readonly headers: Readonly<Record<string, string>>
  readonly url: string
  /** Monotonic milliseconds. */
  readonly at: number
}

/** The endpoint's response to a request; `number` counts from 1. */
export type Respond = (
  asked: Asked,
  number: number
) => Effect.Effect<Response, HttpClientError.HttpClientError>

export interface Endpoint {
  readonly asked: ReadonlyArray<Asked>
  respond: Respond
  readonly client: Layer.Layer<never>
}

export const json = (body: unknown, status = 200): Response =>
  new Response(typeof body === "string" ? body : JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json" }
  })

/** An endpoint that responds by a script. */
export const makeEndpoint = (respond: Respond): Endpoint => {
  const asked: Array<Asked> = []
  const http = HttpClient.make((request, url) =>
    Effect.flatMap(Clock.Clock, (clock) => {
      const { body } = request
      const text = body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : ""
      const parameters = new URLSearchParams(text)
      const one: Asked = {
        token: parameters.get("token") ?? "",
        body: parameters,
        headers: { ...request.headers },
        url: url.href,
        at: Number(clock.monotonicTimeNanosUnsafe()) / 1e6
      }
      asked.push(one)
      return Effect.map(
        made.respond(one, asked.length),
        (response) => HttpClientResponse.fromWeb(request, response)
      )
    })
  )
  const made: Endpoint = { asked, respond, client: TokenHttpClient.layer(Layer.succeed(HttpClient.HttpClient, http)) }
  return made
}

/** An active answer for the next hour, with members that are added or replaced; removes those that are `undefined`. */
export const active = (members: Readonly<Record<string, unknown>> = {}) =>
  Effect.map(Clock.currentTimeMillis, (millis) => ({
    active: true,
    iss: issuer,
    aud: "api",
    exp: Math.floor(millis / 1000) + 3600,
    sub: "ada",
    client_id: "web",
    token_type: "Bearer",
    scope: "read write",
    ...members
  }))

export const answering = (members: Readonly<Record<string, unknown>> = {}): Respond => () =>
  Effect.map(active(members), (answer) => json(answer))
export const inactive: Respond = () => Effect.sync(() => json({ active: false }))

export const policy: Introspection.Policy = { issuers: [issuer], audiences: ["api"] }

export const options = (more: Partial<Introspection.Options> = {}): Introspection.Options => ({
  issuer,
  endpoint,
  clientId,
  auth: ClientAuth.secretBasic(Redacted.make(clientSecret)),
  ...more
})

/** A validator in the scope, over a scripted endpoint. */
export const introspected = (
  { client }: Endpoint,
  more: Partial<Introspection.Options> = {},
  morePolicy: Partial<Introspection.Policy> = {}
): Effect.Effect<OpaqueTokens["Service"], KeelsonError.ConfigurationError, Scope.Scope> =>
  Effect.map(
    Layer.build(
      Layer.provide(
        OpaqueTokens.layerIntrospected({ ...policy, ...morePolicy }, Introspection.client(options(more))),
        client
      )
    ),
    (context) => Context.get(context, OpaqueTokens)
  )

const jwtPolicy: ValidationPolicy.Options = {
  issuers: [issuer],
  audiences: ["api"],
  algorithms: ["ES256"],
  profile: "jwt"
}

/** A validator of JWTs and opaque tokens in the scope. */
export const mixed = <E>(
  { client }: Endpoint,
  keys: Layer.Layer<KeySource.KeySource, E>,
  more: TokenValidator.MixedOptions & { readonly policy?: Partial<ValidationPolicy.Options> } = {}
): Effect.Effect<OpaqueTokens["Service"], E | KeelsonError.ConfigurationError, Scope.Scope> => {
  const { policy: morePolicy, ...mixedOptions } = more
  const layer = OpaqueTokens.layerMixed(
    { ...jwtPolicy, ...morePolicy },
    Introspection.client(options()),
    mixedOptions
  )
  return Effect.map(
    Layer.build(layer.pipe(Layer.provide(keys), Layer.provide(client))),
    (context) => Context.get(context, OpaqueTokens)
  )
}

/** Signs an answer as RFC 9701 says. */
export const signedAnswer = (
  pair: Pair,
  members: Readonly<Record<string, unknown>>,
  claims: Readonly<Record<string, unknown>> = {},
  header: Readonly<Record<string, unknown>> = {}
): Effect.Effect<string> =>
  Effect.flatMap(Clock.currentTimeMillis, (millis) =>
    sign(pair, {
      iss: issuer,
      aud: clientId,
      iat: Math.floor(millis / 1000),
      token_introspection: members,
      ...claims
    }, { typ: "token-introspection+jwt", ...header }))

export const jwtResponse = (text: string): Response =>
  new Response(text, { headers: { "content-type": "application/token-introspection+jwt" } })

/** Introspection with signed answers. */
export const signedOptions = (
  keys: KeySource.KeySource["Service"],
  required?: boolean
): Partial<Introspection.Options> => ({
  signed: { keys: Effect.succeed(keys), algorithms: ["ES256"], ...(required === undefined ? {} : { required }) }
})

export const keySourceOf = <E>(layer: Layer.Layer<KeySource.KeySource, E>) =>
  Effect.map(Layer.build(layer), (context) => Context.get(context, KeySource.KeySource))

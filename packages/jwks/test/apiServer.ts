/** The control plane at a real server, over a registry with scripted providers. */
import { NodeHttpServer } from "@effect/platform-node"
import { KeelsonError } from "@keelson/core"
import { type Answer, issuer, makeProvider, url, virtualImport } from "@keelson/testing/scriptedProvider"
import { Context, Effect, Layer } from "effect"
import { HttpClient, HttpClientRequest, HttpRouter, HttpServerRequest } from "effect/http"
import { type Egress, JwksRegistry } from "../src/index.ts"
import * as JwksRegistryApi from "../src/JwksRegistryApi.ts"

/** `Bearer t` administers the tenant t; requests without a token are rejected. */
export const admin = Layer.succeed(JwksRegistryApi.JwksAdmin, (handler) =>
  Effect.gen(function*() {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const tenantId = headers["authorization"]?.replace("Bearer ", "")
    if (tenantId === undefined) return yield* new KeelsonError.AuthorizationError({ code: "UNAUTHORIZED" })
    return yield* Effect.provideService(handler, JwksRegistryApi.AdminPrincipal, { tenantId })
  }))

/** A registration that is good. */
export const registration = { issuer, url }

interface Sent {
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Whose token is sent. Default `t`. */
  readonly as?: string | undefined
}

export interface Received {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly text: string
  readonly json: unknown
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A server in the scope. Paths are those below `/tenants/t/providers`, unless they begin with `/`. */
export const controlPlane = Effect.fnUntraced(function*(
  answer: Answer,
  otherEgress?: Layer.Layer<Egress.Egress, KeelsonError.ConfigurationError>
) {
  const { egress, provider } = makeProvider(answer)
  const served = HttpRouter.serve(JwksRegistryApi.layer({ openapiPath: "/openapi.json" }), {
    disableListenLog: true,
    disableLogger: true
  }).pipe(
    Layer.provide(admin),
    Layer.provideMerge(Layer.provide(JwksRegistry.layer, [otherEgress ?? egress, virtualImport])),
    Layer.provideMerge(NodeHttpServer.layerTest)
  )
  const context = yield* Layer.build(served)
  const client = Context.get(context, HttpClient.HttpClient)
  const call = Effect.fnUntraced(function*(
    method: "GET" | "PUT" | "POST" | "DELETE",
    path: string,
    sent: Sent = {}
  ): Effect.fn.Return<Received, unknown> {
    const to = path.startsWith("/") ? path : `/tenants/t/providers${path === "" ? "" : `/${path}`}`
    const principal = "as" in sent ? sent.as : "t"
    const bare = HttpClientRequest.make(method)(to, {
      headers: { ...sent.headers, ...(principal === undefined ? undefined : { authorization: `Bearer ${principal}` }) }
    })
    const request = sent.body === undefined
      ? bare
      : HttpClientRequest.bodyText(
        bare,
        typeof sent.body === "string" ? sent.body : JSON.stringify(sent.body),
        "application/json"
      )
    const response = yield* client.execute(request)
    const text = yield* response.text
    return { status: response.status, headers: response.headers, text, json: parsed(text) }
  })
  return { call, client, provider, registry: Context.get(context, JwksRegistry.JwksRegistry) }
})

/** The members of problem details that tests look at. */
export const problemOf = ({ headers, json, status }: Received) => {
  const of = (name: string): unknown =>
    typeof json === "object" && json !== null ? Object.entries(json).find(([key]) => key === name)?.[1] : undefined
  return {
    status,
    type: headers["content-type"],
    code: of("code"),
    inBody: of("status"),
    detail: String(of("detail")),
    details: of("details")
  }
}

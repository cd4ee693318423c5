/** One application in Express, Fastify and Hono, on free ports of 127.0.0.1, and an issuer that publishes its keys. */
import { serve, type ServerType } from "@hono/node-server"
import { httpsOrigin } from "@keelson/testing/httpsOrigin"
import { audience, goodClaims, pairOf, sign } from "@keelson/testing/tokens"
import { Effect, type Scope } from "effect"
import express, { type ErrorRequestHandler } from "express"
import { fastify } from "fastify"
import { Hono } from "hono"
import { streamText } from "hono/streaming"
import type { Server } from "node:http"
import { text } from "node:stream/consumers"
import { type AnyClaims, type Auth, auth, type Options } from "../src/NodeAuth.ts"

export interface Issuer {
  readonly url: string
  /** Whether it responds with 503 from now on. */
  isDown: boolean
  /** A token for the API, with these claims in addition. */
  readonly token: (claims?: Readonly<Record<string, unknown>>) => Effect.Effect<string>
}

export const makeIssuer: Effect.Effect<Issuer, never, Scope.Scope> = Effect.gen(function*() {
  const pair = yield* pairOf("ES256")
  const issuer = { url: "", isDown: false }
  const documents: Readonly<Record<string, () => unknown>> = {
    "/.well-known/openid-configuration": () => ({ issuer: issuer.url, jwks_uri: `${issuer.url}/jwks` }),
    "/jwks": () => ({ keys: [{ ...pair.publicJwk, use: "sig" }] })
  }
  const { port } = yield* httpsOrigin((request, response) => {
    const document = documents[request.url ?? ""]
    if (issuer.isDown || document === undefined) response.writeHead(issuer.isDown ? 503 : 404).end()
    else response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(document()))
  }, { plain: true })
  issuer.url = `http://127.0.0.1:${port}`
  return Object.assign(issuer, {
    token: (claims: Readonly<Record<string, unknown>> = {}) =>
      Effect.flatMap(goodClaims, (good) => sign(pair, { ...good, iss: issuer.url, ...claims }))
  })
})

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** Opens the authentication of an API whose tokens an issuer signs. */
export const openAuth = (
  issuer: Issuer,
  options: Partial<Options> = {}
): Effect.Effect<Auth<AnyClaims>, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() =>
      auth({
        issuer: issuer.url,
        audience,
        egress: { proxy: "none" },
        jwks: { prefetch: false, retryDelay: "1 millis", maxAttempts: 1 },
        localDevelopment: true,
        logger: quiet,
        ...options
      })
    ),
    ({ close }) => Effect.promise(close)
  )

/** An application. Its error handler responds with 500 and the header `x-handled`. */
export type Application = (api: Auth<AnyClaims>) => Effect.Effect<string, never, Scope.Scope>

const listening = (server: ServerType): Effect.Effect<string, never, Scope.Scope> => {
  const address = server.address()
  return Effect.as(
    Effect.addFinalizer(() =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        if ("closeAllConnections" in server) server.closeAllConnections()
      })
    ),
    `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
  )
}

export const inExpress: Application = (api) => {
  const { metrics, protect } = api.express
  const app = express()
  const onError: ErrorRequestHandler = (error: unknown, _request, response, next) => {
    if (response.headersSent) next(error)
    else response.status(500).set("x-handled", "yes").send("failed")
  }
  app.get("/open", (_, response) => void response.send("open"))
  app.get("/metrics", metrics)
  app.get("/reports", protect("reports:read"), (request, response) => {
    response.json({ caller: api.caller(request).subject, tenant: api.caller(request).claims["tenant"] })
  })
  app.post("/reports", protect("reports:read", "reports:write"), express.json(), (request, response) => {
    response.status(201).json(request.body)
  })
  app.get("/admin", protect((caller) => caller.hasRole("admin")), (_, response) => void response.send("admin"))
  app.get("/unprotected", (request, response) => void response.send(api.caller(request).subject))
  app.use("/nested", protect())
  app.get("/nested/reports", protect("reports:read"), (request, response) => {
    response.send(api.caller(request).subject)
  })
  app.get("/stream", protect(), (_, response) => {
    response.type("text/plain").write("one ")
    response.write("two ")
    response.end("three")
  })
  app.get("/broken", protect(), () => {
    throw new Error("a failure of the handler")
  })
  app.get(
    "/broken-condition",
    protect(() => {
      throw new Error("a failure of the condition")
    }),
    (_, response) => void response.send("never")
  )
  app.use(onError)
  return Effect.flatMap(
    Effect.callback<Server>((resume) => {
      const server: Server = app.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    listening
  )
}

const inFastify: Application = (api) => {
  const { metrics, protect } = api.fastify
  const app = fastify()
  app.setErrorHandler((_, __, reply) => reply.code(500).header("x-handled", "yes").send("failed"))
  app.get("/open", () => "open")
  app.get("/metrics", metrics)
  app.get("/reports", { onRequest: protect("reports:read") }, (request) => ({
    caller: api.caller(request).subject,
    tenant: api.caller(request).claims["tenant"]
  }))
  app.post(
    "/reports",
    { onRequest: protect("reports:read", "reports:write") },
    (request, reply) => reply.code(201).send(request.body)
  )
  app.get("/admin", { onRequest: protect((caller) => caller.hasRole("admin")) }, () => "admin")
  app.get("/unprotected", (request) => api.caller(request).subject)
  void app.register((nested, _, done) => {
    nested.addHook("onRequest", protect())
    nested.get("/nested/reports", { onRequest: protect("reports:read") }, (request) => api.caller(request.raw).subject)
    done()
  })
  app.get("/stream", { onRequest: protect() }, (_, reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { "content-type": "text/plain" })
    reply.raw.write("one ")
    reply.raw.write("two ")
    reply.raw.end("three")
  })
  app.get("/broken", { onRequest: protect() }, () => {
    throw new Error("a failure of the handler")
  })
  app.get("/broken-condition", {
    onRequest: protect(() => {
      throw new Error("a failure of the condition")
    })
  }, () => "never")
  return Effect.andThen(
    Effect.promise(() => app.listen({ host: "127.0.0.1", port: 0 })),
    Effect.suspend(() => listening(app.server))
  )
}

const inHono: Application = (api) => {
  const { metrics, protect } = api.hono
  const app = new Hono()
  app.onError((_, c) => c.text("failed", 500, { "x-handled": "yes" }))
  app.get("/open", (c) => c.text("open"))
  app.get("/metrics", metrics)
  app.get(
    "/reports",
    protect("reports:read"),
    (c) => c.json({ caller: api.caller(c).subject, tenant: api.caller(c).claims["tenant"] })
  )
  app.post("/reports", protect("reports:read", "reports:write"), async (c) => c.json(await c.req.json(), 201))
  app.get("/admin", protect((caller) => caller.hasRole("admin")), (c) => c.text("admin"))
  app.get("/unprotected", (c) => c.text(api.caller(c).subject ?? ""))
  app.use("/nested/*", protect())
  app.get("/nested/reports", protect("reports:read"), (c) => c.text(api.caller(c).subject ?? ""))
  app.get("/stream", protect(), (c) =>
    streamText(c, async (stream) => {
      await stream.write("one ")
      await stream.write("two ")
      await stream.write("three")
    }))
  app.get("/broken", protect(), () => {
    throw new Error("a failure of the handler")
  })
  app.get(
    "/broken-condition",
    protect(() => {
      throw new Error("a failure of the condition")
    }),
    (c) => c.text("never")
  )
  return Effect.flatMap(
    Effect.callback<ServerType>((resume) => {
      const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, () => {
        resume(Effect.succeed(server))
      })
    }),
    listening
  )
}

export const applications: Readonly<Record<string, Application>> = {
  "Express": inExpress,
  "Fastify": inFastify,
  "Hono": inHono
}

/** The parts of a response that the tests compare. */
export interface Response {
  readonly status: number
  readonly headers: Headers
  readonly body: string
}

/** Sends a request. */
export const request = (
  url: string,
  { token, ...init }: RequestInit & { readonly token?: string | undefined } = {}
): Effect.Effect<Response> =>
  Effect.promise(async () => {
    const headers = new Headers(init.headers)
    if (token !== undefined) headers.set("authorization", `Bearer ${token}`)
    const response = await fetch(url, { ...init, headers })
    return { status: response.status, headers: response.headers, body: response.body ? await text(response.body) : "" }
  })

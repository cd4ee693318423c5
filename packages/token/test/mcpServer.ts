/** A protected MCP server of `effect/ai`, on a real server at a free port of 127.0.0.1. */
import { NodeHttpServer } from "@effect/platform-node"
import type { KeelsonError } from "@keelson/core"
import { KeySource } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { audience, goodClaims, issuer, keysOf, pairOf, sign } from "@keelson/testing/tokens"
import { Context, Deferred, Effect, Layer, References, Schema } from "effect"
import { McpProtocol, McpSchema, McpServer, Tool, Toolkit } from "effect/ai"
import { HttpRouter, HttpServer } from "effect/http"
import { type BindingOptions, Claims, Principal, ProofReplays, TokenValidator, ValidationPolicy } from "../src/index.ts"
import * as McpSecurity from "../src/McpSecurity.ts"

export class Tokens extends TokenValidator.Service<Tokens>()("test/McpTokens", { claims: Claims.AccessToken }) {}
export class Caller extends Principal.Service<Caller, Claims.AccessToken>()("test/McpCaller") {}

/** Tokens of the tests' own key. */
const ownTokens = Effect.map(
  pairOf("ES256"),
  (pair) =>
    Tokens.layer(ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: ["ES256"] }))
      .pipe(
        Layer.provide(keysOf([pair]))
      )
)

/** Tokens of a real authorization server, for one resource. */
const tokensOfServer = (resource: string, server: string) =>
  Tokens.layer(ValidationPolicy.accessToken({ issuers: [server], audiences: [resource], algorithms: ["ES256"] })).pipe(
    Layer.provide(KeySource.layerOidc({ issuer: server })),
    Layer.provide(NodeEgress.layer({ allowLocalhost: true }))
  )

const whoTool = (name: string) => Tool.make(name, { success: Schema.String, dependencies: [Caller] })

const Read = whoTool("read")
const Write = whoTool("write")
const Destroy = whoTool("destroy")
const Open = whoTool("open")
const Secret = whoTool("secret")
const Umlaut = whoTool("größe")
const Wait = whoTool("wait")

const Tools = Toolkit.make(Read, Write, Destroy, Open, Secret, Umlaut, Wait)

/** How often each tool ran. */
export type Runs = Map<string, number>

const handlersOf = (
  runs: Runs,
  started: Deferred.Deferred<void>,
  released: Deferred.Deferred<void>
) => {
  const run = (tool: string) => () =>
    Effect.map(Caller, ({ clientId, subject }) => {
      runs.set(tool, (runs.get(tool) ?? 0) + 1)
      return `${tool} by ${subject ?? clientId}`
    })
  return Tools.toLayer({
    read: run("read"),
    write: run("write"),
    destroy: run("destroy"),
    open: run("open"),
    secret: run("secret"),
    größe: run("größe"),
    wait: () =>
      Deferred.succeed(started, undefined).pipe(
        Effect.andThen(Deferred.await(released)),
        Effect.andThen(run("wait")())
      )
  })
}

const protocols = [
  McpProtocol.v2026_07_28,
  McpProtocol.v2025_11_25,
  McpProtocol.v2025_06_18,
  McpProtocol.v2025_03_26
] as const

export type McpServerOptions = Partial<Omit<McpSecurity.Options, "tools">> & BindingOptions.Options & {
  readonly tools?: McpSecurity.Options["tools"]
  readonly implies?: Record<string, ReadonlyArray<string>>
}

const quiet = Layer.succeed(References.MinimumLogLevel, "None")

const tools = {
  read: ["files:read"],
  write: ["files:read", "files:write"],
  destroy: ["files:admin"],
  open: [],
  größe: ["files:read"]
}

/** A client in this process. */
const ownClient = McpSchema.McpServerClient.of({
  clientId: 0,
  protocolVersion: "2025-11-25",
  clientCapabilities: {},
  clientInfo: { name: "test", version: "1" },
  initializePayload: McpSchema.Initialize.payloadSchema.make({
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "test", version: "1" }
  }),
  getClient: Effect.die(new Error("no client"))
})

/** A caller whose token has these scopes. */
const callerWith = (scopes: ReadonlyArray<string>) => {
  const claims = {
    iss: issuer,
    sub: "user-1",
    aud: audience,
    exp: 4_000_000_000,
    iat: 1,
    jti: "1",
    client_id: "client-1"
  }
  const times = { nbf: undefined, sid: undefined, cnf: undefined, aud: [audience] }
  return Caller.fromValidated({ claims, registered: { ...claims, ...times, scope: scopes.join(" "), scopes } })
}

const originOf = (address: HttpServer.HttpServer["Service"]["address"]): string =>
  `http://127.0.0.1:${address._tag === "InetAddressV4" || address._tag === "InetAddressV6" ? address.port : 0}`

/** Serves in the scope: with tokens of the tests, or of a real authorization server. */
export const mcpServer = Effect.fnUntraced(function*(
  options: McpServerOptions = {},
  authorizationServer?: string,
  record: Layer.Layer<ProofReplays.ProofReplays, KeelsonError.ConfigurationError> = ProofReplays.layerMemory()
) {
  const runs: Runs = new Map()
  const own = yield* ownTokens
  const started = yield* Deferred.make<void>()
  const released = yield* Deferred.make<void>()
  const protectedBy = (origin: string) => {
    const resource = authorizationServer === undefined ? "https://api.example/mcp" : `${origin}/mcp`
    return McpSecurity.layer({
      validator: Tokens,
      principal: Caller,
      resource,
      authorizationServers: [authorizationServer ?? issuer],
      allowLocalhost: true,
      scopes: ["mcp"],
      tools,
      replays: ProofReplays.ProofReplays,
      ...options
    }).pipe(
      Layer.provide(record),
      Layer.provide(authorizationServer === undefined ? own : tokensOfServer(resource, authorizationServer))
    )
  }
  let inner: McpServer.McpServer["Service"] | undefined
  const learn = Layer.effectDiscard(Effect.map(McpServer.McpServer, (found) => {
    inner = found
  }))
  const server = Layer.unwrap(Effect.map(HttpServer.HttpServer, ({ address }) =>
    McpServer.layerHttp({
      name: "files",
      version: "1.0.0",
      path: "/mcp",
      protocols,
      allowSessionTermination: true,
      registrations: Layer.provide(McpServer.toolkit(Tools), handlersOf(runs, started, released))
    }).pipe((built) => Layer.provide(learn, built), Layer.provide(protectedBy(originOf(address))))))
  const served = HttpRouter.serve(server, { disableListenLog: true, disableLogger: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layerTest),
    Layer.provide(quiet)
  )
  const context = yield* Layer.build(served)
  const url = originOf(Context.get(context, HttpServer.HttpServer).address)
  return {
    url,
    runs,
    /** Waits for a call of the tool `wait`, and returns what lets it end. */
    started: Effect.as(Deferred.await(started), Deferred.succeed(released, undefined)),
    /** Calls a tool in this process, without HTTP. */
    callInside: (name: string, scopes: ReadonlyArray<string>) =>
      Effect.suspend(() => inner?.callTool({ name, arguments: {} }) ?? Effect.die(new Error("no server"))).pipe(
        Effect.provideService(McpSchema.McpServerClient, ownClient),
        Effect.provideService(Caller, callerWith(scopes))
      ),
    /** Begins a session of an earlier revision, and returns its id. */
    session: (token: string, protocolVersion: string) => beginSession(url, token, protocolVersion)
  }
})

/** A token with scopes. */
export const tokenOf = Effect.fnUntraced(function*(scope: string, claims: Readonly<Record<string, unknown>> = {}) {
  return yield* sign(yield* pairOf("ES256"), { ...(yield* goodClaims), scope, ...claims })
})

/** A request of JSON-RPC. */
export const rpc = (method: string, params: object = {}, id: number | string = 1) => ({
  jsonrpc: "2.0",
  id,
  method,
  params
})

/** The body of a call of a tool, in the revision of 2026-07-28. */
export const callOf = (name: string, id: number | string = 1) => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: {
    name,
    arguments: {},
    _meta: {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
      "io.modelcontextprotocol/clientCapabilities": {}
    }
  }
})

/** The headers of each request. */
export const baseHeaders = { "content-type": "application/json", accept: "application/json, text/event-stream" }

/** The headers of a call of a tool, in the revision of 2026-07-28. */
export const headersOf = (name: string) => ({
  ...baseHeaders,
  "mcp-protocol-version": "2026-07-28",
  "mcp-method": "tools/call",
  "mcp-name": name
})

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly json: unknown
}

const jsonOf = (text: string): unknown => {
  const line = text.startsWith("data: ") ? text.slice(6).split("\n")[0] ?? "" : text
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** Sends a body, as text or JSON. */
export const post = (url: string, body: unknown, headers: Readonly<Record<string, string>>, token?: string) =>
  Effect.promise(async (): Promise<Answer> => {
    const response = await fetch(`${url}/mcp`, {
      method: "POST",
      headers: { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
      body: typeof body === "string" ? body : JSON.stringify(body)
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, json: jsonOf(text) }
  })

const beginSession = Effect.fnUntraced(function*(url: string, token: string, protocolVersion: string) {
  const clientInfo = { name: "test", version: "1" }
  const begun = yield* post(
    url,
    rpc("initialize", { protocolVersion, capabilities: {}, clientInfo }),
    baseHeaders,
    token
  )
  const id = begun.headers.get("mcp-session-id") ?? ""
  const headers = { ...baseHeaders, "mcp-session-id": id }
  yield* post(url, { jsonrpc: "2.0", method: "notifications/initialized" }, headers, token)
  return id
})

/** The URL of the metadata. */
export const metadata = "https://api.example/.well-known/oauth-protected-resource/mcp"

export const challengeOf = ({ headers }: Answer) => headers.get("www-authenticate")

/** The challenge to a caller who lacks a scope. */
export const insufficient = (scope: string) =>
  `Bearer realm="api", error="insufficient_scope", error_description="The access token lacks a required scope", ` +
  `scope="${scope}", resource_metadata="${metadata}"`

/** A challenge of a caller whom no scope would help. */
export const deniedChallenge = `Bearer realm="api", resource_metadata="${metadata}"`

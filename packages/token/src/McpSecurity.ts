/**
 * Protects an MCP server of `effect/ai` over HTTP: tokens, metadata, and scopes for each tool.
 *
 * Every request needs a valid token. A caller without the scopes of a tool gets a 403 that names all of them, so that its client
 * can request them and call again. Handlers have the principal, which does not contain the token: a server must not pass it on.
 *
 * @see MCP 2026-07-28, Authorization and Streamable HTTP; RFC 9728; RFC 6750, 3
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as McpServer from "effect/ai/McpServer"
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as HttpSecurity from "./HttpSecurity.ts"
import type { HttpSecurityError } from "./HttpSecurityError.ts"
import type { Settings as SecuritySettings } from "./internal/http/authenticator.ts"
import { ScopeText } from "./internal/http/scopeSchema.ts"
import { admit } from "./internal/resource/mcpAdmission.ts"
import { McpSessions } from "./internal/resource/mcpSessions.ts"
import { ToolRules } from "./internal/resource/toolRules.ts"
import * as ProtectedResource from "./ProtectedResource.ts"

/** Options of the checks of an MCP server. All except `tools` may be left out. */
export interface Options {
  /**
   * The scopes that every request needs, also to list tools, to read resources and to get prompts. The challenge to a caller
   * without a valid token names them, and so do the metadata. At most 64 scopes. Default none.
   */
  readonly scopes?: ReadonlyArray<string> | undefined
  /**
   * For each tool the scopes that a call needs in addition to `scopes`; an empty list for none. At most 1000 tools, each with at
   * most 64 scopes. Required.
   */
  readonly tools: { readonly [tool: string]: ReadonlyArray<string> | undefined }
  /**
   * Whether a tool that `tools` does not have is for nobody (`deny`), and in no list, or needs only `scopes` (`baseScopes`).
   * Default deny.
   */
  readonly unlistedTools?: "deny" | "baseScopes" | undefined
  /**
   * Whether a caller's list of tools leaves out those whose scopes its token lacks. Clients then cannot find tools for which they
   * could request scopes. Default false.
   */
  readonly hideForbiddenTools?: boolean | undefined
  /** Upper bound of a request body, in bytes; above it the answer is 413. From 1024 to 67108864. Default 4194304. */
  readonly maxBytes?: number | undefined
  /**
   * How many sessions of MCP revisions before 2026-07-28 are remembered with their owners. The least recently used one is
   * forgotten, and its client has to begin a new one. From 1 to 1000000. Default 10000.
   */
  readonly maxSessions?: number | undefined
}

const Scopes = Schema.Array(ScopeText).check(Schema.isMaxLength(64, { expected: "a list of at most 64 scopes" }))

const areFew = Schema.makeFilter((tools: Readonly<Record<string, unknown>>) =>
  Object.keys(tools).length <= 1_000 || { path: [], issue: "an object with at most 1000 tools" }
)

/** Checked options of the checks of an MCP server. */
export const McpOptions = Schema.Struct({
  scopes: Field.defaulted(Scopes, []),
  tools: Schema.Record(Schema.String, Scopes).check(areFew),
  unlistedTools: Field.defaulted(Schema.Literals(["deny", "baseScopes"]), "deny"),
  hideForbiddenTools: Field.defaulted(Schema.Boolean, false),
  maxBytes: Field.defaulted(Field.int(1_024, 67_108_864), 4_194_304),
  maxSessions: Field.defaulted(Field.int(1, 1_000_000), 10_000)
})
export type McpOptions = typeof McpOptions.Type

/** The options of `HttpSecurity` that do not apply: MCP clients send their token in `Authorization` alone. */
type Excluded = "header" | "queryParameter" | "cookie" | "resourceMetadata"

/** Options of `layer`: the checks, the metadata of the server as a protected resource, and those of `HttpSecurity`. */
export interface Settings<V, P, C, R = never>
  extends
    Options,
    Omit<ProtectedResource.LayerOptions, "scopes">,
    Omit<SecuritySettings<V, P, C, R>, Excluded | "scopes">
{}

const checkNames = Struct.keys(McpOptions.fields)
const resourceNames = [...Struct.keys(ProtectedResource.ResourceOptions.fields), "signature"] as const
const notOfSecurity = [...checkNames, ...resourceNames] as const

/** Makes the middleware of the server's routes, around those of `HttpSecurity`. Their handlers have the principal. */
const makeRoutes = <V, P, C, R>(settings: Settings<V, P, C, R>, options: McpOptions, tools: ToolRules) => {
  const rules = {
    tools,
    sessions: new McpSessions(options.maxSessions),
    maxBytes: ByteSize.fromInputUnsafe(options.maxBytes)
  }
  const admission = HttpRouter.middleware<{ handles: HttpSecurityError }>()((handler) =>
    Effect.flatMap(settings.principal, (caller) => admit(handler, caller, rules))
  )
  return admission.combine(HttpSecurity.middleware<P, V, C, R>(Struct.omit(settings, notOfSecurity)))
}

/**
 * Makes the middleware of the server's tools: it hides what a caller may not see, and is the second check of each call, by the
 * tool that the server is about to run.
 */
const makeGate = <V, P, C, R>({ principal }: Settings<V, P, C, R>, tools: ToolRules) =>
  McpServer.visibility(({ method, target }) =>
    Effect.map(
      principal,
      (caller) =>
        method === "tools/call" ? tools.allows(caller, target) : method !== "tools/list" || tools.lists(caller, target)
    )
  ).layer

/** The layer that protects an MCP server: it provides the principal to the handlers of its routes and tools. */
export type Protection<V, P, R = never> = Layer.Layer<
  HttpRouter.Request.From<"Requires", P>,
  KeelsonError.ConfigurationError,
  V | R | HttpRouter.HttpRouter
>

/** The layer as what it is: the compiler cannot see that a type parameter, taken from itself, leaves nothing. */
function protectionOf<V, P, R>(layer: unknown): Protection<V, P, R>
function protectionOf(layer: unknown): unknown {
  return layer
}

/**
 * Protects an MCP server: provide it to `McpServer.layerHttp`, around its `registrations`. Serves the metadata of the server,
 * answers 401 with their URL and `scopes`, and 403 with all scopes that a tool needs. A handler whose tool depends on the
 * principal (`dependencies: [Caller]`) has it.
 *
 * The tool is taken from the header `Mcp-Name` before the body is read, and from the body afterwards; a request in which they
 * differ is rejected. Earlier revisions of MCP, whose requests have no such header, are judged by the body, batches included.
 * Sessions of these revisions belong to the subject and client that began them.
 *
 * The validator must require the resource as the audience. Fails with `ConfigurationError` (`INVALID_CONFIG`, or `KEY_INVALID`).
 */
export const layer = <V, P, C, R = never>(settings: Settings<V, P, C, R>): Protection<V, P, R> =>
  Layer.unwrap(
    Effect.map(Configuration.decode(McpOptions)(Struct.pick(settings, checkNames)), (options): Protection<V, P, R> => {
      const tools = new ToolRules(options)
      const { layer: routes } = makeRoutes(settings, options, tools)
      const metadata = ProtectedResource.layer({ ...Struct.pick(settings, resourceNames), scopes: options.scopes })
      return Layer.merge(protectionOf<V, P, R>(routes), protectionOf<V, P, R>(makeGate(settings, tools)))
        .pipe(Layer.provideMerge(metadata))
    })
  )

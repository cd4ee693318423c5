/** A protected resource and its authorization server, in memory behind a scripted egress. */
import { KeelsonError } from "@keelson/core"
import { Egress } from "@keelson/jwks"
import { Effect, Layer } from "effect"

export const resource = "https://api.example/mcp"
export const issuer = "https://idp.example/tenant"
export const tokenEndpoint = "https://idp.example/tenant/token"
export const metadataUrl = "https://api.example/.well-known/oauth-protected-resource/mcp"
export const rootUrl = "https://api.example/.well-known/oauth-protected-resource"
export const serverUrl = "https://idp.example/.well-known/oauth-authorization-server/tenant"

/** A response. A body that is not text is sent as JSON. */
export interface Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

/** The responses by URL. All others are a 404. */
export type World = Readonly<Record<string, Reply>>

export const json = (body: unknown): Reply => ({ status: 200, headers: { "content-type": "application/json" }, body })

export const challenge = (value: string): Reply => ({ status: 401, headers: { "www-authenticate": value } })

export const resourceDocument = {
  resource,
  authorization_servers: [issuer],
  scopes_supported: ["mcp"],
  bearer_methods_supported: ["header"]
}
export const serverDocument = { issuer, token_endpoint: tokenEndpoint }

/** What an honest resource and its server answer. */
export const honest: World = {
  [resource]: challenge(`Bearer scope="mcp", resource_metadata="${metadataUrl}"`),
  [metadataUrl]: json(resourceDocument),
  [serverUrl]: json(serverDocument)
}

const bytes = (body: unknown): Uint8Array =>
  body instanceof Uint8Array
    ? body
    : new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body ?? ""))

const refused = (code: "EGRESS_REFUSED" | "RESPONSE_TOO_LARGE", reason: string) =>
  Effect.fail(new KeelsonError.NetworkError({ code, details: { reason } }))

/** An egress that answers from a world. It records the URLs, and applies the rules of each request. */
export const egressOf = (world: () => World) => {
  const requests: Array<string> = []
  const layer = Layer.succeed(Egress.Egress, {
    check: (url) => Effect.succeed(new URL(url)),
    get: ({ rules = {}, url: text }) =>
      Effect.suspend(() => {
        const url = new URL(text)
        requests.push(url.href)
        const { body, headers = {}, status } = world()[url.href] ?? { status: 404 }
        if (rules.allowedHosts?.includes(url.hostname) !== true) return refused("EGRESS_REFUSED", "host")
        if (headers["location"] !== undefined && rules.maxRedirects === 0) return refused("EGRESS_REFUSED", "redirect")
        const content = bytes(body)
        return content.byteLength > (rules.maxBytes ?? Number.POSITIVE_INFINITY)
          ? refused("RESPONSE_TOO_LARGE", "size")
          : Effect.succeed({ status, headers, body: content, url })
      })
  })
  return { layer, requests }
}

/** Mutations of an honest resource and its authorization server, each with what the client must make of it. */
import {
  challenge,
  honest,
  issuer,
  json,
  metadataUrl,
  type Reply,
  resource,
  resourceDocument,
  rootUrl,
  serverDocument,
  serverUrl,
  tokenEndpoint,
  type World
} from "./world.ts"

/** The scopes that the client begins with, or the code and reason of the error. */
type Expected = { readonly scopes: ReadonlyArray<string> } | { readonly code: string; readonly reason: string }

export interface Mutation {
  readonly name: string
  readonly world: World
  readonly expected: Expected
}

const invalid = (reason: string): Expected => ({ code: "RESOURCE_METADATA_INVALID", reason })
const found: Expected = { scopes: ["mcp"] }

const change = (name: string, changes: World, expected: Expected): Mutation => ({
  name,
  world: { ...honest, ...changes },
  expected
})

const shown = (value: unknown) => {
  const text = JSON.stringify(value) ?? "undefined"
  return text.length > 120 ? `${text.slice(0, 80)} ... ${text.slice(-30)}` : text
}

/** URLs that a challenge may not name: not at the resource's origin, or not a URL that may be requested. */
const locations: ReadonlyArray<string> = [
  "https://evil.example/.well-known/oauth-protected-resource/mcp",
  "https://api.example.evil.example/x",
  "https://evil.example/https://api.example/",
  "https://sub.api.example/x",
  "https://example/x",
  "https://api.example:8443/x",
  "https://api.example:80/x",
  "http://api.example/.well-known/oauth-protected-resource/mcp",
  "http://localhost/x",
  "http://127.0.0.1/x",
  "https://127.0.0.1/x",
  "https://[::1]/x",
  "https://169.254.169.254/latest/meta-data",
  "https://metadata.google.internal/x",
  "https://user@api.example/x",
  "https://user:password@api.example/x",
  "https://api.example@evil.example/x",
  String.raw`https://api.example\\@evil.example/x`,
  "https://evil.example#api.example",
  "https://evil.example?https://api.example",
  "https://api.example/x#fragment",
  "https://api.example/x#",
  "//api.example/x",
  "//evil.example/x",
  "/.well-known/oauth-protected-resource/mcp",
  "",
  " ",
  "api.example",
  "javascript:alert(1)",
  "data:application/json,{}",
  "file:///etc/passwd",
  "ftp://api.example/x",
  "ws://api.example/x",
  "blob:https://api.example/x",
  "urn:x:y",
  "https://",
  "https:",
  "https://api.example..",
  "https://api.example%2f.evil.example/x",
  "https://xn--pi-8ia.example/x",
  "https://api.examp\u00ece/x"
]

/** Challenges that are malformed or ambiguous: nothing in them is used, and the well-known places are asked. */
const elsewhere = "https://evil.example/meta"
const ignoredChallenges: ReadonlyArray<string> = [
  `Bearer resource_metadata="${elsewhere}", resource_metadata="${metadataUrl}"`,
  `Bearer resource_metadata="${metadataUrl}", Bearer resource_metadata="${elsewhere}"`,
  `Bearer scope="a", scope="b", resource_metadata="${elsewhere}"`,
  `Basic resource_metadata="${elsewhere}"`,
  `DPoP resource_metadata="${metadataUrl}", DPoP resource_metadata="${elsewhere}"`,
  `DPoP resource_metadata="${elsewhere}", Bearer scope="mcp"`,
  `Bearer resource_metadata="${elsewhere}`,
  `Bearer resource_metadata='${elsewhere}'`,
  `Bearer resource_metadata=${elsewhere}`,
  `Bearer, Basic, resource_metadata="${elsewhere}"`,
  `Bearer error_description="resource_metadata=\\"${elsewhere}\\""`,
  `Bearer realm="x" resource_metadata="${elsewhere}"`,
  `Bearer realm="x"; resource_metadata="${elsewhere}"`,
  `Bearer xresource_metadata="${elsewhere}"`,
  `Bearer resource_metadata*="${elsewhere}"`,
  "",
  "Bearer",
  `Bearer realm="${"x".repeat(9_000)}", resource_metadata="${elsewhere}"`
]

/** Scopes that no token can have, or too many: those of the metadata are used. */
const ignoredScopes: ReadonlyArray<string> = [
  "",
  " ",
  "a\\\\b",
  "a \\\"b",
  "\u00fc",
  "a\tb",
  "x".repeat(257),
  Array.from({ length: 65 }, (_, index) => `s${index}`).join(" ")
]

/** Identifiers of other resources. */
const otherResources: ReadonlyArray<unknown> = [
  undefined,
  null,
  "",
  7,
  true,
  {},
  [resource],
  "https://evil.example/mcp",
  "https://api.example",
  "https://api.example/",
  "https://api.example/mcp/",
  "https://api.example/MCP",
  "https://api.example/mcp/files",
  "https://api.example/mc",
  "https://api.example/mcp?",
  "https://api.example/mcp?a=b",
  "https://api.example/mcp#",
  "https://api.example/%6dcp",
  "https://api.example:443/mcp",
  "https://API.example/mcp",
  "https://api.example//mcp",
  "https://api.example/a/../mcp",
  "https://user@api.example/mcp",
  "http://api.example/mcp",
  " https://api.example/mcp",
  "https://api.example/mcp\n",
  "https://api.example.evil.example/mcp"
]

/** Authorization servers at which the client is not registered, and lists that are none. */
const otherServers: ReadonlyArray<unknown> = [
  undefined,
  null,
  "",
  issuer,
  {},
  { 0: issuer, length: 1 },
  [],
  [[issuer]],
  [{ issuer }],
  [null],
  [7, issuer],
  [issuer, null],
  ["https://evil.example"],
  ["https://idp.example"],
  ["https://idp.example/"],
  ["https://idp.example/tenant/"],
  ["https://idp.example/Tenant"],
  ["https://IDP.example/tenant"],
  ["https://idp.example:443/tenant"],
  ["https://idp.example/tenant?"],
  ["https://idp.example/tenant#"],
  ["https://idp.example/other/../tenant"],
  ["http://idp.example/tenant"],
  [` ${issuer}`],
  [`${issuer} `],
  ["https://idp.example.evil.example/tenant"],
  [...Array.from({ length: 64 }, (_, index) => `https://idp${index}.example`), issuer]
]

const otherIssuers: ReadonlyArray<unknown> = [
  undefined,
  null,
  "",
  7,
  [issuer],
  "https://idp.example",
  "https://idp.example/tenant/",
  "https://idp.example/Tenant",
  "https://evil.example/tenant",
  "https://idp.example:443/tenant",
  `${issuer} `,
  "http://idp.example/tenant"
]

const badEndpoints: ReadonlyArray<unknown> = [
  undefined,
  null,
  "",
  7,
  [tokenEndpoint],
  {},
  "/token",
  "token",
  "http://idp.example/tenant/token",
  "http://localhost/token",
  "http://169.254.169.254/token",
  "https://user:password@idp.example/token",
  "https://idp.example/token#",
  "https://idp.example/token#x",
  "javascript:alert(1)",
  "data:,x",
  "file:///token",
  "https://",
  "https://idp..example/token",
  `https://idp.example/${"x".repeat(8_192)}`
]

/** Bodies that are not a JSON object in UTF-8. */
const badBodies: ReadonlyArray<unknown> = [
  "",
  " ",
  "null",
  "true",
  "7",
  "\"text\"",
  "[]",
  JSON.stringify([resourceDocument]),
  "{",
  JSON.stringify(resourceDocument).slice(0, -1),
  `${JSON.stringify(resourceDocument)}x`,
  JSON.stringify(resourceDocument).replaceAll("\"", "'"),
  "<html></html>",
  new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
  new Uint8Array([0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00])
]

const badTypes: ReadonlyArray<string | undefined> = [
  undefined,
  "",
  "text/html",
  "text/plain",
  "text/json",
  "application/jsonp",
  "application/json5",
  "application/problem+json",
  "application/jwt",
  "application/octet-stream",
  "x, application/json"
]

const typed = (type: string | undefined, body: unknown): Reply => ({
  status: 200,
  headers: type === undefined ? {} : { "content-type": type },
  body
})

const location = "https://evil.example/meta"
const redirects = [300, 301, 302, 303, 307, 308]

/** Statuses of both documents, with the error. */
const statuses: ReadonlyArray<readonly [status: number, Expected]> = [
  [500, { code: "UPSTREAM_UNAVAILABLE", reason: "" }],
  [502, { code: "UPSTREAM_UNAVAILABLE", reason: "" }],
  [503, { code: "UPSTREAM_UNAVAILABLE", reason: "" }],
  [429, { code: "RATE_LIMITED", reason: "" }],
  [201, invalid("status")],
  [204, invalid("status")],
  [206, invalid("status")],
  [418, { code: "UPSTREAM_REJECTED", reason: "" }],
  [404, invalid("missing")],
  [410, invalid("missing")],
  [403, invalid("missing")]
]

const tooLarge: Expected = { code: "RESPONSE_TOO_LARGE", reason: "size" }
const redirected: Expected = { code: "EGRESS_REFUSED", reason: "redirect" }

export const mutations: ReadonlyArray<Mutation> = [
  ...locations.map((text) =>
    change(`a challenge that names ${shown(text)}`, {
      [resource]: challenge(`Bearer resource_metadata="${text}"`)
    }, invalid("location"))
  ),
  change("a challenge of the scheme DPoP that names another origin", {
    [resource]: challenge(`DPoP algs="ES256", resource_metadata="${location}"`)
  }, invalid("location")),
  ...ignoredChallenges.map((value) => change(`the challenge ${shown(value)}`, { [resource]: challenge(value) }, found)),
  ...ignoredScopes.map((scope) =>
    change(`a challenge for the scopes ${shown(scope)}`, {
      [resource]: challenge(`Bearer scope="${scope}", resource_metadata="${metadataUrl}"`)
    }, found)
  ),
  ...otherResources.map((value) =>
    change(`metadata of the resource ${shown(value)}`, {
      [metadataUrl]: json({ ...resourceDocument, resource: value })
    }, invalid("resource"))
  ),
  ...otherServers.map((value) =>
    change(`metadata with the authorization servers ${shown(value)}`, {
      [metadataUrl]: json({ ...resourceDocument, authorization_servers: value })
    }, invalid("authorizationServer"))
  ),
  ...[[], ["body"], ["query"], "header", [7], null].map((value) =>
    change(`metadata with the bearer methods ${shown(value)}`, {
      [metadataUrl]: json({ ...resourceDocument, bearer_methods_supported: value })
    }, invalid("bearerMethods"))
  ),
  ...otherIssuers.map((value) =>
    change(
      `a server with the issuer ${shown(value)}`,
      { [serverUrl]: json({ ...serverDocument, issuer: value }) },
      invalid("issuer")
    )
  ),
  ...badEndpoints.map((value) =>
    change(`a server with the token endpoint ${shown(value)}`, {
      [serverUrl]: json({ ...serverDocument, token_endpoint: value })
    }, invalid("tokenEndpoint"))
  ),
  ...[metadataUrl, serverUrl].flatMap((url) => [
    ...badBodies.map((body) =>
      change(`the body ${shown(body)} at ${url}`, { [url]: typed("application/json", body) }, invalid("json"))
    ),
    ...badTypes.map((type) =>
      change(
        `the content type ${shown(type)} at ${url}`,
        { [url]: typed(type, honest[url]?.body) },
        invalid("contentType")
      )
    ),
    ...redirects.map((status) =>
      change(`a redirect ${status} at ${url}`, { [url]: { status, headers: { location } } }, redirected)
    ),
    ...statuses.map(([status, expected]) => change(`the status ${status} at ${url}`, { [url]: { status } }, expected)),
    change(`a body of 70 KB at ${url}`, { [url]: json({ padding: "x".repeat(70_000) }) }, tooLarge)
  ]),
  change("a redirect of the resource", { [resource]: { status: 302, headers: { location } } }, found),
  change("a resource that answers without a token", { [resource]: { status: 200, body: "public" } }, found),
  change("a challenge with the status 403", {
    [resource]: { status: 403, headers: { "www-authenticate": `Bearer resource_metadata="${location}"` } }
  }, found),
  change("nothing at any place", { [resource]: { status: 404 }, [metadataUrl]: { status: 404 } }, invalid("missing")),
  change("the metadata of another resource at the root", {
    [resource]: { status: 404 },
    [metadataUrl]: { status: 404 },
    [rootUrl]: json({ ...resourceDocument, resource: "https://api.example" })
  }, invalid("resource"))
]

/** Bound tokens together with the parts of an API that have tests of their own. */
import { assert, describe, it } from "@effect/vitest"
import { audience, issuer, keysOf, pairOf } from "@keelson/testing/tokens"
import { Effect, Layer } from "effect"
import { type HttpSecurityOptions, Introspection, ProofReplays, ProtectedResource } from "../src/index.ts"
import { UsesMutualTls } from "../src/internal/mtls/certificateUse.ts"
import { problemOf, quiet, tokenWith } from "./HttpSecuritySuite.ts"
import {
  active,
  answering,
  endpoint,
  introspected,
  json,
  makeEndpoint,
  opaque,
  options,
  type Respond
} from "./introspectionSupport.ts"
import { callOf, challengeOf, headersOf, mcpServer, metadata, post, tokenOf } from "./mcpServer.ts"
import { baseUrl, boundToken, makeProof, type ProofSigner, proofSigner, tokenWithCnf } from "./proofSupport.ts"
import { bearer, serve, Tokens, tokensOf, type Variant, variants } from "./protectedServer.ts"

const algs = "algs=\"ES256 EdDSA Ed25519 PS256 RS256\""
const dpop = (token: string, proof: string) => [`Authorization: DPoP ${token}`, `DPoP: ${proof}`]

describe("A protected resource whose tokens may be bound", () => {
  const resource = ProtectedResource.layer({
    resource: `${baseUrl}/files`,
    authorizationServers: [issuer],
    scopes: ["files:read", "files:list"],
    dpopAlgorithms: ["ES256"]
  })
  const where = `resource_metadata="${baseUrl}/.well-known/oauth-protected-resource/files"`
  const scope = "scope=\"files:read files:list\""

  const serveWith = Effect.fnUntraced(function*(variant: Variant, more: HttpSecurityOptions.Options) {
    const over = ((settings) => Layer.provide(variant(settings), resource)) as typeof variant
    return yield* serve(over, tokensOf(keysOf([yield* pairOf("ES256")])), { baseUrls: [baseUrl], ...more }, quiet)
  })

  for (const [name, variant] of variants) {
    it.live(`[K-23] [K-37] both challenges of ${name} name the metadata, and scopes where another token is needed`, () =>
      Effect.gen(function*() {
        const { send } = yield* serveWith(variant, { dpop: "allowed" })
        const signer = yield* proofSigner()
        const bound = yield* boundToken(signer)
        const challengeTo = Effect.fnUntraced(function*(line: string, ...headers: ReadonlyArray<string>) {
          return (yield* send(line, ...headers)).headers["www-authenticate"]
        })
        assert.strictEqual(
          yield* challengeTo("GET /me"),
          `Bearer realm="api", ${scope}, ${where}, DPoP realm="api", ${scope}, ${algs}, ${where}`
        )
        // The token is bound to a key that this caller does not have.
        const thief = yield* proofSigner("ES256", "thief")
        assert.strictEqual(
          yield* challengeTo("GET /me", ...dpop(bound, yield* makeProof(thief, bound))),
          `DPoP realm="api", error="invalid_token", error_description="The access token is bound to another key", ` +
            `${scope}, ${algs}, ${where}, Bearer realm="api", ${scope}, ${where}`
        )
        // The token is good, so that no scopes are named.
        assert.strictEqual(
          yield* challengeTo("GET /me", ...dpop(bound, yield* makeProof(signer, bound, { htm: "POST" }))),
          `DPoP realm="api", error="invalid_dpop_proof", error_description="The DPoP proof is for another method", ` +
            `${algs}, ${where}, Bearer realm="api", ${where}`
        )
        const report = { htm: "POST", htu: `${baseUrl}/reports` }
        const needed = "scope=\"reports:read reports:write\""
        assert.strictEqual(
          yield* challengeTo("POST /reports", ...dpop(bound, yield* makeProof(signer, bound, report))),
          `DPoP realm="api", error="insufficient_scope", error_description="The access token lacks a required scope", ` +
            `${needed}, ${algs}, ${where}, Bearer realm="api", ${needed}, ${where}`
        )
        const good = yield* makeProof(signer, bound)
        assert.strictEqual((yield* send("GET /me", ...dpop(bound, good))).status, 200)
        assert.strictEqual((yield* send("GET /me", ...dpop(bound, good))).status, 401)
      }))

    it.live(`[K-23] [K-37] ${name} names the scopes to a caller whose token is not bound as required`, () =>
      Effect.gen(function*() {
        const { send } = yield* serveWith(variant, { dpop: "required" })
        assert.strictEqual(
          (yield* send("GET /me", bearer(yield* tokenWith()))).headers["www-authenticate"],
          `DPoP realm="api", error="invalid_token", ` +
            `error_description="The access token is not bound to a key as required", ${scope}, ${algs}, ${where}`
        )
        const certificates = yield* serveWith(variant, { mtls: "required" })
        const certified = yield* tokenWithCnf({ "x5t#S256": "A".repeat(43) })
        assert.strictEqual(
          (yield* certificates.send("GET /me", bearer(certified))).headers["www-authenticate"],
          `Bearer realm="api", error="invalid_token", ` +
            `error_description="The access token is bound to a client certificate", ${scope}, ${where}`
        )
      }))
  }
})

describe("A token that is bound to a key and to a certificate", () => {
  const thumbprint = (hash: string) => Buffer.from(hash, "hex").toString("base64url")
  const own = "ab".repeat(32)
  const header = { name: "X-Cert", proxies: ["127.0.0.1", "::1"], format: "xfcc" } as const

  for (const [name, variant] of variants) {
    it.live(`[K-23] ${name} requires both, and a request without the certificate uses up no proof`, () =>
      Effect.gen(function*() {
        const signer = yield* proofSigner()
        const token = yield* tokenWithCnf({ jkt: signer.jkt, "x5t#S256": thumbprint(own) })
        const tokens = tokensOf(keysOf([yield* pairOf("ES256")]))
        const settings = { baseUrls: [baseUrl], dpop: "allowed", mtls: { mode: "allowed", header } } as const
        const { send } = yield* serve(variant, tokens, settings, quiet)
        const proof = yield* makeProof(signer, token)
        const statusOf = (...more: ReadonlyArray<string>) =>
          Effect.map(send("GET /me", ...dpop(token, proof), ...more), problemOf)
        assert.deepInclude(yield* statusOf(), { status: 401, code: "AUTH-001" })
        assert.deepInclude(yield* statusOf(`X-Cert: Hash=${"cd".repeat(32)}`), { status: 401, code: "AUTH-001" })
        assert.strictEqual((yield* send("GET /me", bearer(token), `X-Cert: Hash=${own}`)).status, 401)
        assert.strictEqual((yield* statusOf(`X-Cert: Hash=${own}`)).status, 200)
        assert.deepInclude(yield* statusOf(`X-Cert: Hash=${own}`), { status: 401, code: "TOK-010" })
      }))
  }
})

describe("An introspected token that is bound", () => {
  const claims = { aud: audience, jti: "one", iat: 1, scope: "reports:read", token_type: "DPoP" }

  const serveWith = Effect.fnUntraced(function*(
    variant: Variant,
    respond: Respond,
    more: HttpSecurityOptions.Options = { dpop: "allowed" }
  ) {
    const server = makeEndpoint(respond)
    const tokens = Tokens.layerIntrospected(
      { issuers: [issuer], audiences: [audience] },
      Introspection.client(options())
    )
    const all = { baseUrls: [baseUrl], ...more }
    return { server, ...yield* serve(variant, Layer.provide(tokens, server.client), all, quiet) }
  })

  const boundTo = ({ jkt }: ProofSigner): Respond => answering({ ...claims, cnf: { jkt } })

  for (const [name, variant] of variants) {
    it.live(`[K-23] ${name} requires a new proof for each use of an opaque token, whose answer is cached`, () =>
      Effect.gen(function*() {
        const signer = yield* proofSigner()
        const token = opaque("bound")
        const { send, server } = yield* serveWith(variant, boundTo(signer))
        const first = yield* makeProof(signer, token)
        const statusOf = (...headers: ReadonlyArray<string>) => Effect.map(send("GET /me", ...headers), problemOf)
        assert.strictEqual((yield* statusOf(...dpop(token, first))).status, 200)
        assert.strictEqual((yield* statusOf(...dpop(token, yield* makeProof(signer, token)))).status, 200)
        assert.deepInclude(yield* statusOf(...dpop(token, first)), { status: 401, code: "TOK-010" })
        assert.deepInclude(yield* statusOf(bearer(token)), { status: 401, code: "TOK-009" })
        assert.deepInclude(yield* statusOf(`Authorization: DPoP ${token}`), { status: 401, code: "TOK-009" })
        const thief = yield* proofSigner("ES256", "thief")
        const stolen = yield* makeProof(thief, token)
        assert.deepInclude(yield* statusOf(...dpop(token, stolen)), { status: 401, code: "AUTH-001" })
        const other = yield* makeProof(signer, opaque("other"))
        assert.deepInclude(yield* statusOf(...dpop(token, other)), { status: 401, code: "TOK-010" })
        assert.strictEqual(server.asked.length, 1)
      }))
  }

  const [, asApi] = variants[0]!

  it.live("[K-23] a token of the type DPoP whose answer names no key is accepted by no scheme", () =>
    Effect.gen(function*() {
      const signer = yield* proofSigner()
      for (const cnf of [undefined, null, {}, { "x5t#S256": "A".repeat(43) }]) {
        const { send } = yield* serveWith(asApi, answering({ ...claims, cnf }), {
          dpop: "allowed",
          mtls: "allowed"
        })
        const token = opaque("unnamed")
        assert.strictEqual((yield* send("GET /me", bearer(token))).status, 401, JSON.stringify(cnf))
        const proven = yield* send("GET /me", ...dpop(token, yield* makeProof(signer, token)))
        assert.strictEqual(proven.status, 401, JSON.stringify(cnf))
      }
    }))

  it.live("[K-23] is refused where the API checks no binding", () =>
    Effect.gen(function*() {
      const signer = yield* proofSigner()
      const { send } = yield* serveWith(asApi, boundTo(signer), { dpop: "off" })
      assert.strictEqual((yield* send("GET /me", bearer(opaque("bound")))).status, 401)
    }))

  it.effect("[K-23] is asked about at the endpoint for mutual TLS by a client with a certificate", () =>
    Effect.gen(function*() {
      const alias = "https://mtls.idp.example/introspect"
      for (
        const [aliases, isMutual, expected] of [
          [{ introspection_endpoint: alias }, true, alias],
          [{ introspection_endpoint: alias }, false, endpoint],
          [{ token_endpoint: alias }, true, endpoint],
          [undefined, true, endpoint]
        ] as const
      ) {
        const server = makeEndpoint(({ url }) =>
          url.includes("/.well-known/")
            ? Effect.succeed(json({ issuer, introspection_endpoint: endpoint, mtls_endpoint_aliases: aliases }))
            : Effect.map(active(), (answer) => json(answer))
        )
        const client = Layer.merge(server.client, Layer.succeed(UsesMutualTls, isMutual))
        const tokens = yield* introspected({ ...server, client }, { endpoint: undefined })
        yield* tokens.validate(opaque("a"))
        assert.strictEqual(server.asked.at(-1)?.url, expected)
      }
    }).pipe(Effect.scoped))
})

describe("An MCP server whose tokens are bound", () => {
  const security = { dpop: "required", baseUrls: [baseUrl] } as const
  const proofFor = (signer: ProofSigner, token: string) =>
    makeProof(signer, token, { htm: "POST", htu: `${baseUrl}/mcp` })
  const headers = (tool: string, token: string, proof: string) => ({
    ...headersOf(tool),
    authorization: `DPoP ${token}`,
    dpop: proof
  })

  it.live("[K-23] [K-37] checks a proof for each call, and names the scopes of a tool in the scheme DPoP", () =>
    Effect.gen(function*() {
      const { runs, url } = yield* mcpServer(security)
      const signer = yield* proofSigner()
      const token = yield* tokenOf("mcp files:read", { cnf: { jkt: signer.jkt } })
      const proof = yield* proofFor(signer, token)
      const call = (tool: string, text: string) => post(url, callOf(tool), headers(tool, token, text))
      assert.strictEqual((yield* call("read", proof)).status, 200)
      const again = yield* call("read", proof)
      assert.strictEqual(again.status, 401)
      assert.match(challengeOf(again) ?? "", /^DPoP .*error="invalid_dpop_proof", .*resource_metadata=/)
      assert.strictEqual((yield* post(url, callOf("read"), headersOf("read"), token)).status, 401)
      const lacking = yield* call("write", yield* proofFor(signer, token))
      assert.deepStrictEqual([lacking.status, challengeOf(lacking)], [
        403,
        `DPoP realm="api", error="insufficient_scope", error_description="The access token lacks a required scope", ` +
        `scope="mcp files:read files:write", ${algs}, resource_metadata="${metadata}"`
      ])
      const unbound = yield* post(url, callOf("read"), headersOf("read"), yield* tokenOf("mcp files:read"))
      assert.match(challengeOf(unbound) ?? "", /^DPoP .*error="invalid_token", .*scope="mcp", /)
      assert.deepStrictEqual([...runs], [["read", 1]])
    }))

  it.live("[K-23] [K-37] several servers share a record of used proofs", () =>
    Effect.gen(function*() {
      const record = Layer.succeedContext(yield* Layer.build(ProofReplays.layerMemory()))
      const [one, two] = [yield* mcpServer(security, undefined, record), yield* mcpServer(security, undefined, record)]
      const signer = yield* proofSigner()
      const token = yield* tokenOf("mcp files:read", { cnf: { jkt: signer.jkt } })
      const proof = yield* proofFor(signer, token)
      assert.strictEqual((yield* post(one.url, callOf("read"), headers("read", token, proof))).status, 200)
      assert.strictEqual((yield* post(two.url, callOf("read"), headers("read", token, proof))).status, 401)
    }).pipe(Effect.scoped))
})

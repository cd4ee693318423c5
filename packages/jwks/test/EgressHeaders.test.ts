import { assert, describe, it } from "@effect/vitest"
import { httpsOrigin, nodeEgress, resolved } from "@keelson/testing/httpsOrigin"
import { recording } from "@keelson/testing/observe"
import { Effect, Redacted } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const ok = httpsOrigin((_, response) => void response.end("keys"))
const plain = httpsOrigin((_, response) => void response.end("keys"), { plain: true })
const secret = { authorization: Redacted.make("Bearer s3cret"), "X-Api-Key": Redacted.make("k3y") }

describe("headers of an egress", () => {
  it.live("[K-28 A7] are sent to allowed hosts, with the User-Agent", () =>
    Effect.gen(function*() {
      const origin = yield* ok
      const egress = yield* nodeEgress({ allowedHosts: ["idp.example"], headers: secret, userAgent: "acme/1.0" })
      const url = `https://idp.example:${origin.port}/jwks`
      yield* egress.get({ url, headers: { accept: "a/b" } })
      assert.deepInclude(origin.headers[0], {
        "authorization": "Bearer s3cret",
        "x-api-key": "k3y",
        "user-agent": "acme/1.0",
        "accept": "a/b"
      })
      const other = yield* Effect.flip(egress.get({ url: `https://other.example:${origin.port}/` }))
      assert.strictEqual(other.details["reason"], "host")
      assert.lengthOf(origin.requests, 1)
    }))

  it.live("[K-28 A7] are not sent after a redirect to another origin, and again at their own", () =>
    Effect.gen(function*() {
      const target = yield* ok
      const origin = yield* httpsOrigin((request, response) => {
        const location = request.url === "/away" ? `https://idp.example:${target.port}/` : "/keys"
        if (request.url === "/keys") response.end("keys")
        else response.writeHead(302, { location }).end()
      })
      const options = { headers: secret, userAgent: "acme/1.0" }
      const egress = yield* nodeEgress({ ...options, allowedHosts: ["idp.example", "127.0.0.1"] })
      yield* egress.get({ url: `https://idp.example:${origin.port}/here` })
      assert.deepStrictEqual(origin.headers.map(({ authorization }) => authorization), [
        "Bearer s3cret",
        "Bearer s3cret"
      ])
      yield* egress.get({ url: `https://idp.example:${origin.port}/away` })
      assert.lengthOf(target.headers, 1)
      for (const headers of target.headers) {
        assert.notProperty(headers, "authorization")
        assert.notProperty(headers, "x-api-key")
        assert.strictEqual(headers["user-agent"], "acme/1.0")
      }
    }))

  it.live("[K-28 A7] a token from a file is read for each request, so that it may rotate", () =>
    Effect.gen(function*() {
      const folder = mkdtempSync(join(tmpdir(), "keelson-token-"))
      const bearerTokenFile = join(folder, "token")
      writeFileSync(bearerTokenFile, "first.token\n")
      const origin = yield* ok
      const egress = yield* nodeEgress({ allowedHosts: ["idp.example"], bearerTokenFile })
      const get = egress.get({ url: `https://idp.example:${origin.port}/openid/v1/jwks` })
      yield* get
      writeFileSync(bearerTokenFile, "second.token")
      yield* get
      assert.deepStrictEqual(origin.headers.map(({ authorization }) => authorization), [
        "Bearer first.token",
        "Bearer second.token"
      ])
      writeFileSync(bearerTokenFile, "two tokens\n")
      const error = yield* Effect.flip(get)
      assert.strictEqual(error.code, "NETWORK_ERROR")
      assert.notInclude(JSON.stringify(error), "two tokens")
      rmSync(folder, { recursive: true })
      assert.strictEqual((yield* Effect.flip(get)).message, `The bearer token file cannot be read: ${bearerTokenFile}`)
      const unreadable = yield* Effect.flip(nodeEgress({ allowedHosts: ["idp.example"], bearerTokenFile }))
      assert.strictEqual(unreadable.code, "KEY_FILE_UNREADABLE")
      const unlimited = yield* Effect.flip(nodeEgress({ bearerTokenFile }))
      assert.strictEqual(unlimited.details["path"], "allowedHosts")
      assert.lengthOf(origin.requests, 2)
    }))
})

describe("http to named hosts", () => {
  const named = { insecureHosts: ["keycloak"], allowedNetworks: [] }

  it.live("[K-28 A6] is allowed by insecureHosts, at private and loopback addresses only", () =>
    Effect.gen(function*() {
      const origin = yield* plain
      const url = `http://keycloak:${origin.port}/realms/a/jwks`
      const egress = yield* nodeEgress(named)
      assert.strictEqual((yield* egress.get({ url })).status, 200)
      for (const address of ["8.8.8.8", "169.254.169.254", "0.0.0.0", "2606:4700::1111", "64:ff9b::808:808"]) {
        const error = yield* Effect.flip(
          Effect.flatMap(nodeEgress({ ...named, resolve: resolved(address) }), (one) => one.get({ url }))
        )
        assert.deepStrictEqual([error.code, error.details], ["EGRESS_REFUSED", { reason: "address", hop: 0 }], address)
        assert.include(error.message, "over http, keycloak must have private addresses")
      }
      // A private network that is allowed for https does not make a public address private.
      const all = { ...named, allowedNetworks: ["0.0.0.0/0"], resolve: resolved("8.8.8.8") }
      const wide = yield* Effect.flip(Effect.flatMap(nodeEgress(all), (one) => one.get({ url })))
      assert.strictEqual(wide.details["reason"], "address")
      assert.strictEqual(origin.connections(), 1)
    }))

  it.live("[K-28 A6] is refused for other hosts, subdomains and redirects from https, by an error that names the option", () =>
    Effect.gen(function*() {
      const origin = yield* plain
      const tls = yield* httpsOrigin((_, response) => {
        response.writeHead(302, { location: `http://keycloak:${origin.port}/` }).end()
      })
      const egress = yield* nodeEgress({ ...named, allowedNetworks: ["127.0.0.0/8"] })
      for (const host of ["idp.example", "sub.keycloak", "keycloak.example"]) {
        const error = yield* Effect.flip(egress.get({ url: `http://user@${host}/secret?secret` }))
        assert.strictEqual(
          error.message,
          `The URL's scheme is http, not https: to request ${host} over http, name it in insecureHosts`
        )
      }
      const local = yield* Effect.flip(egress.get({ url: "http://localhost/" }))
      assert.include(local.message, "set allowLocalhost to request localhost over http")
      const other = yield* Effect.flip(egress.get({ url: "ftp://keycloak/" }))
      assert.strictEqual(other.message, "The URL's scheme is ftp, not https")
      const redirected = yield* Effect.flip(egress.get({ url: `https://idp.example:${tls.port}/` }))
      assert.deepStrictEqual([redirected.details["reason"], redirected.details["hop"]], ["scheme", 1])
      assert.strictEqual(origin.connections(), 0)
    }))

  it.live("[K-28 A6] does not use a proxy, which would resolve the name itself", () =>
    Effect.gen(function*() {
      const origin = yield* plain
      const egress = yield* nodeEgress({ ...named, proxy: "http://127.0.0.1:9" })
      assert.strictEqual((yield* egress.get({ url: `http://keycloak:${origin.port}/` })).status, 200)
    }))

  it.live("[K-28 A6] is logged at the start", () =>
    Effect.gen(function*() {
      const { lines, record } = recording()
      yield* record(nodeEgress({ ...named, proxy: "none" }))
      yield* record(nodeEgress({ proxy: "none" }))
      assert.lengthOf(lines, 1)
      assert.include(lines[0], "Key sets may be fetched over http, without TLS, from: keycloak")
    }))

  it.live("[K-28 A6] [K-28 A7] the line names the headers that the network can read, and no value", () =>
    Effect.gen(function*() {
      const { lines, record } = recording()
      const headers = { "x-api-key": Redacted.make("the-key-of-the-api") }
      yield* record(nodeEgress({ ...named, headers, allowedHosts: ["keycloak"], proxy: "none" }))
      yield* record(nodeEgress({ ...named, headers, allowedHosts: ["idp.example"], proxy: "none" }))
      assert.lengthOf(lines, 2)
      assert.include(lines[0], "The network can read the configured headers that they are sent: x-api-key")
      assert.notInclude(lines[1], "x-api-key")
      assert.notInclude(lines.join(), "the-key")
    }))
})

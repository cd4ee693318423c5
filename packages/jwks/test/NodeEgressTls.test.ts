import { assert, describe, it } from "@effect/vitest"
import { caFile, fixturePath, type Handle, httpsOrigin, nodeEgress, pinOf } from "@keelson/testing/httpsOrigin"
import { Effect } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { getCACertificates, setDefaultCACertificates } from "node:tls"

const ok: Handle = (_, response) => {
  response.end("ok")
}

const at = (port: number, host = "idp.example") => `https://${host}:${port}/`

const directory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "keelson-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true }))
)

describe("NodeEgress over TLS", () => {
  it.live("[R26] [R27] an untrusted certificate is NET-003, whose advice names caFile", () =>
    Effect.gen(function*() {
      const origin = yield* httpsOrigin(ok)
      for (const authority of [undefined, fixturePath("bystander.cert.pem")]) {
        const egress = yield* nodeEgress({ caFile: authority })
        const error = yield* Effect.flip(egress.get({ url: at(origin.port) }))
        assert.deepStrictEqual([error.code, error.details], ["TLS_FAILED", { hop: 0 }])
        assert.include(error.toJSON().troubleshooting.join(" "), "caFile")
      }
      assert.lengthOf(origin.requests, 0)
    }))

  it.live("[R27] a certificate of another host is NET-003", () =>
    Effect.gen(function*() {
      const origin = yield* httpsOrigin(ok)
      const egress = yield* nodeEgress()
      const error = yield* Effect.flip(egress.get({ url: at(origin.port, "evil.example") }))
      assert.deepStrictEqual([error.code, origin.requests.length], ["TLS_FAILED", 0])
    }))

  it.live("[R27] a server without TLS is NET-003", () =>
    Effect.gen(function*() {
      const origin = yield* httpsOrigin(ok, { plain: true })
      const egress = yield* nodeEgress()
      assert.strictEqual((yield* Effect.flip(egress.get({ url: at(origin.port) }))).code, "TLS_FAILED")
    }))

  describe("caFile", () => {
    it.live("[K-28 J12] [R26] authorities of the file join those of the system", () =>
      Effect.gen(function*() {
        const origin = yield* httpsOrigin(ok)
        // The authority of the origin is one of the system's, and the file has another.
        const before = getCACertificates("default")
        yield* Effect.acquireRelease(
          Effect.sync(() => setDefaultCACertificates([...before, readFileSync(caFile, "utf8")])),
          () => Effect.sync(() => setDefaultCACertificates(before))
        )
        const egress = yield* nodeEgress({ caFile: fixturePath("bystander.cert.pem") })
        assert.strictEqual((yield* egress.get({ url: at(origin.port) })).status, 200)
      }))

    it.effect("[R26] a file that is not there fails with its path", () =>
      Effect.gen(function*() {
        const path = join(yield* directory, "missing.pem")
        const error = yield* Effect.flip(nodeEgress({ caFile: path }))
        assert.deepStrictEqual([error.code, error.details["path"]], ["KEY_FILE_UNREADABLE", path])
        assert.include(error.message, path)
      }))

    const damaged = readFileSync(caFile, "utf8").replace(/^M.{60}/m, "AAAA")
    const files = [["is empty", ""], ["has a key only", "-----BEGIN X-----"], ["is damaged", damaged]] as const
    for (const [what, text] of files) {
      it.effect(`[R26] a file that ${what} fails with its path`, () =>
        Effect.gen(function*() {
          const path = join(yield* directory, "bad.pem")
          writeFileSync(path, text)
          const error = yield* Effect.flip(nodeEgress({ caFile: path }))
          assert.deepStrictEqual(error.code, "INVALID_CONFIG")
          assert.deepInclude(error.details, { path: "caFile", file: path })
        }))
    }

    it.live("[R26] a bundle of several is trusted whole, beside Node's own", () =>
      Effect.gen(function*() {
        const origin = yield* httpsOrigin(ok)
        const path = join(yield* directory, "bundle.pem")
        writeFileSync(
          path,
          `# ours\n${readFileSync(fixturePath("bystander.cert.pem"), "utf8")}${readFileSync(caFile, "utf8")}`
        )
        const egress = yield* nodeEgress({ caFile: path })
        assert.strictEqual((yield* egress.get({ url: at(origin.port) })).status, 200)
      }))
  })

  describe("pins", () => {
    const chain = ["server.cert.pem", "middle.cert.pem", "root.cert.pem"]
    for (const name of chain) {
      it.live(`[S1-22] accepts the key of ${name}, among others`, () =>
        Effect.gen(function*() {
          const origin = yield* httpsOrigin(ok)
          const egress = yield* nodeEgress()
          const pins = [pinOf("bystander.cert.pem"), pinOf(name)]
          assert.strictEqual((yield* egress.get({ url: at(origin.port), rules: { pins } })).status, 200)
        }))
    }

    it.live("[S1-22] fails if no certificate has a pinned key, before anything is sent", () =>
      Effect.gen(function*() {
        const origin = yield* httpsOrigin(ok)
        const egress = yield* nodeEgress()
        for (const pins of [[pinOf("bystander.cert.pem")], ["none"], [""]]) {
          const error = yield* Effect.flip(egress.get({ url: at(origin.port), rules: { pins } }))
          assert.deepStrictEqual([error.code, error.details], ["EGRESS_REFUSED", { reason: "pin", hop: 0 }])
        }
        assert.lengthOf(origin.requests, 0)
      }))

    it.live("[S1-22] a connection or session without pins, or with others, is not used for a pinned request", () =>
      Effect.gen(function*() {
        const origin = yield* httpsOrigin(ok)
        const egress = yield* nodeEgress()
        const get = (pins?: ReadonlyArray<string>) => egress.get({ url: at(origin.port), rules: { pins } })
        yield* get()
        yield* get([pinOf("root.cert.pem")])
        const error = yield* Effect.flip(get([pinOf("bystander.cert.pem")]))
        assert.strictEqual(error.details["reason"], "pin")
        assert.deepStrictEqual([origin.connections(), origin.requests.length], [3, 2])
      }))

    it.live("[S1-22] a certificate that was sent along, and signed nothing, has no say", () =>
      Effect.gen(function*() {
        const origin = yield* httpsOrigin(ok, { cert: "forged.cert.pem" })
        const egress = yield* nodeEgress()
        const get = (pin: string) => egress.get({ url: at(origin.port), rules: { pins: [pinOf(pin)] } })
        assert.strictEqual((yield* get("forged.cert.pem")).status, 200)
        const error = yield* Effect.flip(get("bystander.cert.pem"))
        assert.deepStrictEqual([error.code, error.details["reason"]], ["EGRESS_REFUSED", "pin"])
      }))

    it.live("[S1-22] pins replace nothing of the usual verification", () =>
      Effect.gen(function*() {
        const origin = yield* httpsOrigin(ok)
        const pins = [pinOf("server.cert.pem")]
        const untrusting = yield* nodeEgress({ caFile: undefined })
        const egress = yield* nodeEgress()
        const errors = [
          yield* Effect.flip(untrusting.get({ url: at(origin.port), rules: { pins } })),
          yield* Effect.flip(egress.get({ url: at(origin.port, "evil.example"), rules: { pins } }))
        ]
        assert.deepStrictEqual(errors.map(({ code }) => code), ["TLS_FAILED", "TLS_FAILED"])
      }))
  })
})

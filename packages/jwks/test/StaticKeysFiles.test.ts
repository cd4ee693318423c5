import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Redacted, Stream } from "effect"
import { CompactSign, compactVerify } from "jose"
import type { KeyObject } from "node:crypto"
import { KeySource } from "../src/KeySource.ts"
import * as StaticKeys from "../src/StaticKeys.ts"
import * as Keys from "./fixtures/keys/generated.ts"

const issuer = "https://issuer.example"
const limit = 1_048_576

/** A file with a text, in a directory that goes with the test. */
const written = Effect.fnUntraced(function*(name: string, content: string | Uint8Array) {
  const fs = yield* FileSystem.FileSystem
  const file = `${yield* fs.makeTempDirectoryScoped()}/${name}`
  yield* typeof content === "string" ? fs.writeFileString(file, content) : fs.writeFile(file, content)
  return file
})

const make = (...keys: StaticKeys.FileOptions["keys"]) => StaticKeys.makeFiles({ issuers: [issuer], keys })

const verifies = Effect.fnUntraced(function*(source: KeySource["Service"], key: KeyObject, alg: string, kid: string) {
  const jws = yield* Effect.promise(() =>
    new CompactSign(new Uint8Array([7])).setProtectedHeader({ alg, kid }).sign(key)
  )
  const [candidate] = yield* source.find(issuer, { alg, kid })
  assert.isDefined(candidate)
  yield* Effect.promise(() => compactVerify(jws, candidate.key))
})

/** The details of the error that a file is refused with, as the second key. */
const refusal = (path: string, algorithm: StaticKeys.KeyOptions["algorithm"] = "RS256") =>
  make({ algorithm: "RS256", pem: Keys.spki(Keys.rsa) }, { algorithm, path }).pipe(
    Effect.flip,
    Effect.map(({ code, details }): Readonly<Record<string, unknown>> => ({ code, ...details }))
  )

const unreadable = (file: string) => ({
  code: "KEY_FILE_UNREADABLE",
  path: "keys.1.path",
  file,
  expected: "a readable file of at most 1048576 bytes"
})

describe("StaticKeys, files", () => {
  it.effect("[S4-35] [S4-37] keys in files verify beside keys in memory, in every form of PEM", () =>
    Effect.gen(function*() {
      const source = yield* make(
        { id: "spki", algorithm: "RS256", path: yield* written("a.pem", Keys.spki(Keys.rsa)) },
        { id: "pkcs1", algorithm: "PS256", path: yield* written("b.pem", `\u{feff}${Keys.pkcs1(Keys.rsa)}`) },
        { id: "x509", algorithm: "ES256", path: yield* written("c.crt", ` \r\n${Keys.certificate(Keys.p256)}`) },
        { id: "memory", algorithm: "EdDSA", pem: Keys.spki(Keys.ed25519) },
        { id: "mac", algorithm: "HS256", secret: Redacted.make("m".repeat(32)) }
      )
      yield* verifies(source, Keys.rsa.privateKey, "RS256", "spki")
      yield* verifies(source, Keys.rsa.privateKey, "PS256", "pkcs1")
      yield* verifies(source, Keys.p256.privateKey, "ES256", "x509")
      yield* verifies(source, Keys.ed25519.privateKey, "EdDSA", "memory")
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("a link to a key file is followed, since that is how secrets are mounted", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = yield* written("a.pem", Keys.spki(Keys.rsa))
      yield* fs.symlink(file, `${file}.link`)
      yield* verifies(
        yield* make({ id: "a", algorithm: "RS256", path: `${file}.link` }),
        Keys.rsa.privateKey,
        "RS256",
        "a"
      )
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("[S4-35] a file that is missing, a directory or a device is KEY_FILE_UNREADABLE, naming it", () =>
    Effect.gen(function*() {
      const file = yield* written("a.pem", Keys.spki(Keys.rsa))
      for (
        const path of [`${file}.missing`, `${file}/..`, "/dev/null", "/dev/zero", "no\0name", "relative/missing.pem"]
      ) {
        assert.deepStrictEqual(yield* refusal(path), unreadable(path))
      }
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("a file of 1 MiB is read, and one of a byte more is KEY_FILE_UNREADABLE without being read", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const pem = Keys.spki(Keys.rsa)
      yield* make({ algorithm: "RS256", path: yield* written("a.pem", pem.padEnd(limit, "\n")) })
      const file = yield* written("b.pem", pem.padEnd(limit + 1, "\n"))
      const unread = { ...fs, stream: () => Stream.die("it was read") }
      const error = yield* refusal(file).pipe(Effect.provideService(FileSystem.FileSystem, unread))
      assert.deepStrictEqual(error, unreadable(file))
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("a file that grows after its size was looked at is cut", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const small = yield* written("small.pem", Keys.spki(Keys.rsa))
      const large = yield* written("large.pem", "\n".repeat(3 * limit))
      let bytes = 0
      const growing: FileSystem.FileSystem = {
        ...fs,
        stream: (_, options) =>
          Stream.tap(fs.stream(large, options), (chunk) => Effect.sync(() => (bytes += chunk.length)))
      }
      const error = yield* refusal(small).pipe(Effect.provideService(FileSystem.FileSystem, growing))
      assert.deepStrictEqual(error, unreadable(small))
      assert.isAtMost(bytes, limit + 1)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("[S4-35] a file that may not be read, or fails in the middle, is KEY_FILE_UNREADABLE", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const file = yield* written("a.pem", Keys.spki(Keys.rsa))
      const broken = { ...fs, stream: () => fs.stream(`${file}.missing`) }
      const error = yield* refusal(file).pipe(Effect.provideService(FileSystem.FileSystem, broken))
      assert.deepStrictEqual(error, unreadable(file))
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  const der = Buffer.from(Keys.spki(Keys.rsa).slice(27, -26), "base64")
  const contents: ReadonlyArray<readonly [name: string, content: string | Uint8Array]> = [
    ["nothing", ""],
    ["text", "not a key"],
    ["DER", der],
    ["UTF-16", Buffer.from(`\u{feff}${Keys.spki(Keys.rsa)}`, "utf16le")],
    ["a private key", Keys.pkcs8(Keys.rsa)],
    ["a key on P-256", Keys.spki(Keys.p256)],
    ["an RSA key of 1024 bits", Keys.modulusPem(1024)],
    ["a JWK", JSON.stringify(Keys.jwk(Keys.rsa))]
  ]
  for (const [name, content] of contents) {
    it.effect(`[S4-35] a file with ${name} is KEY_INVALID, naming the option`, () =>
      Effect.gen(function*() {
        const { code, path } = yield* refusal(yield* written("key.pem", content))
        assert.deepStrictEqual([code, path], ["KEY_INVALID", "keys.1.path"])
      }).pipe(Effect.provide(NodeFileSystem.layer)))
  }

  it.effect("[K-26] layerFiles provides the KeySource, and reads a file once", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* written("a.pem", Keys.spki(Keys.rsa))
      const layer = StaticKeys.layerFiles({ issuers: [issuer], keys: [{ id: "a", algorithm: "RS256", path }] })
      yield* Effect.gen(function*() {
        const source = yield* KeySource
        yield* fs.remove(path)
        yield* verifies(source, Keys.rsa.privateKey, "RS256", "a")
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.provide(Layer.fresh(NodeFileSystem.layer))))
})

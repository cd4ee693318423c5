import { assert, describe, it } from "@effect/vitest"
import { recording } from "@keelson/testing/observe"
import { Duration, Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs/promises"
import { join } from "node:path"
import { WorkloadIdentity } from "../src/index.ts"
import { directory, failureOf, inEnvironment, jwt, later } from "./workloadSupport.ts"

const inFiles = inEnvironment({})

const write = (path: string, text: string) => Effect.promise(() => Fs.writeFile(path, text))

/** Replaces a file as its writers do: a new one is moved over it. */
const replace = (path: string, text: string) =>
  Effect.promise(async () => {
    await Fs.writeFile(`${path}.new`, text)
    await Fs.rename(`${path}.new`, path)
  })

const value = (identity: WorkloadIdentity.WorkloadIdentity) => Effect.map(identity.assertion, Redacted.value)

describe("A token in a file", () => {
  it.effect("[K-39] is read again after an atomic rename, and gives its lifetime to a provider", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const [first, second] = yield* Effect.all([jwt({ exp: 600, n: 1 }), jwt({ exp: 900, n: 2 })])
      yield* write(path, `${first}\n`)
      const identity = yield* WorkloadIdentity.file({ path })
      assert.strictEqual(yield* value(identity), first)
      yield* replace(path, second)
      assert.strictEqual(yield* value(identity), second)
      yield* TestClock.adjust("100 seconds")
      const { expiresIn } = yield* identity.acquire
      assert.strictEqual(Duration.toSeconds(expiresIn ?? Duration.zero), 800)
    }).pipe(Effect.scoped, inFiles))

  // https://github.com/kubernetes/kubernetes/blob/master/pkg/volume/util/atomic_writer.go
  it.effect("[K-39] is read again after Kubernetes swaps the link ..data to another directory", () =>
    Effect.gen(function*() {
      const root = yield* directory
      const publish = (version: string, text: string) =>
        Effect.promise(async () => {
          await Fs.mkdir(join(root, version))
          await Fs.writeFile(join(root, version, "token"), text)
          await Fs.symlink(version, join(root, "..data_tmp"))
          await Fs.rename(join(root, "..data_tmp"), join(root, "..data"))
        })
      const [first, second] = yield* Effect.all([jwt({ exp: later, n: 1 }), jwt({ exp: later, n: 2 })])
      yield* publish("..2026_01", first)
      yield* Effect.promise(() => Fs.symlink(join("..data", "token"), join(root, "token")))
      const identity = yield* WorkloadIdentity.file({ path: join(root, "token") })
      assert.strictEqual(yield* value(identity), first)
      yield* publish("..2026_02", second)
      yield* Effect.promise(() => Fs.rm(join(root, "..2026_01"), { recursive: true }))
      assert.strictEqual(yield* value(identity), second)
    }).pipe(Effect.scoped, inFiles))

  it.live("[K-39] is not read again while its inode, time and size stay, once its time has settled", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const [first, second] = yield* Effect.all([jwt({ exp: later, n: 1 }), jwt({ exp: later, n: 2 })])
      const at = new Date(1_700_000_000_000)
      const set = (text: string) =>
        Effect.promise(async () => {
          await Fs.writeFile(path, text)
          await Fs.utimes(path, at, at)
        })
      yield* set(first)
      const identity = yield* WorkloadIdentity.file({ path })
      assert.strictEqual(yield* value(identity), first)
      // Only a forged time stamp hides the new text.
      yield* set(second)
      assert.strictEqual(yield* value(identity), first)
      yield* Effect.promise(() => Fs.utimes(path, at, new Date(1_700_000_001_000)))
      assert.strictEqual(yield* value(identity), second)
    }).pipe(Effect.scoped, inFiles))

  it.live("[K-39] is read again after a rename that keeps time and size", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const [first, second] = yield* Effect.all([jwt({ exp: later, n: 1 }), jwt({ exp: later, n: 2 })])
      const at = new Date(1_700_000_000_000)
      const publish = (text: string) =>
        Effect.promise(async () => {
          await Fs.writeFile(`${path}.new`, text)
          await Fs.utimes(`${path}.new`, at, at)
          await Fs.rename(`${path}.new`, path)
        })
      yield* publish(first)
      const identity = yield* WorkloadIdentity.file({ path })
      assert.strictEqual(yield* value(identity), first)
      yield* publish(second)
      assert.strictEqual(yield* value(identity), second)
    }).pipe(Effect.scoped, inFiles))

  it.live("[K-39] is read again within two seconds of a change, when its time stamp may stand still", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const [first, second] = yield* Effect.all([jwt({ exp: later, n: 1 }), jwt({ exp: later, n: 2 })])
      // In the future, as far as this machine's load may delay the test.
      const at = new Date(Date.now() + 3_600_000)
      const set = (text: string) =>
        Effect.promise(async () => {
          await Fs.writeFile(path, text)
          await Fs.utimes(path, at, at)
        })
      yield* set(first)
      const identity = yield* WorkloadIdentity.file({ path })
      assert.strictEqual(yield* value(identity), first)
      yield* set(second)
      assert.strictEqual(yield* value(identity), second)
    }).pipe(Effect.scoped, inFiles))

  it.effect("[K-39] fails once it is expired, naming the path and the time", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "token")
      yield* write(path, yield* jwt({ exp: 600 }))
      const identity = yield* WorkloadIdentity.file({ path })
      yield* identity.assertion
      yield* TestClock.adjust("599999 millis")
      yield* identity.assertion
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* failureOf(identity), {
        code: "WORKLOAD_TOKEN_INVALID",
        message: `The token file ${path} holds a token that expired at 1970-01-01T00:10:00.000Z`,
        details: { reason: "expired", path, expires_at: "1970-01-01T00:10:00.000Z" }
      })
      assert.isFalse(identity.isRetryable(yield* Effect.flip(identity.assertion)))
    }).pipe(Effect.scoped, inFiles))

  const broken = (token: string): ReadonlyArray<readonly [string, string | undefined, string]> => [
    ["empty", "", "empty"],
    ["missing", undefined, "unreadable"],
    ["cut off in its payload", token.slice(0, token.indexOf(".") + 20), "malformed"],
    ["cut off in its signature", token.slice(0, -3), "malformed"],
    ["cut off before its signature", token.slice(0, token.lastIndexOf(".") + 1), "malformed"],
    ["overwritten with another text", "not a token", "malformed"],
    ["too large", "x".repeat(65_537), "malformed"]
  ]

  for (const alg of ["RS256", "ES256", "ES384", "Ed25519"]) {
    it.effect(`[K-39] keeps the last good token while its file is unusable, until that token expires (${alg})`, () =>
      Effect.gen(function*() {
        const path = join(yield* directory, "token")
        const token = yield* jwt({ exp: 600, n: 1 }, alg)
        const next = yield* jwt({ exp: 900, n: 2 }, alg)
        for (const [name, text, reason] of broken(next)) {
          const { lines, record } = recording()
          yield* Effect.gen(function*() {
            yield* replace(path, token)
            const identity = yield* WorkloadIdentity.file({ path })
            yield* identity.assertion
            yield* text === undefined ? Effect.promise(() => Fs.rm(path)) : write(path, text)
            assert.strictEqual(yield* value(identity), token, name)
            assert.strictEqual(yield* value(identity), token, name)
            assert.strictEqual(lines.length, 1, name)
            assert.include(lines[0], reason)
            yield* TestClock.setTime(600_000)
            const failure = yield* failureOf(identity)
            assert.strictEqual(failure.code, "WORKLOAD_TOKEN_INVALID", name)
            assert.strictEqual(failure.details["reason"], reason, name)
            assert.strictEqual(failure.details["path"], path, name)
            yield* replace(path, next)
            assert.strictEqual(yield* value(identity), next, name)
            yield* TestClock.setTime(0)
          }).pipe(record)
        }
      }).pipe(Effect.scoped, inFiles))
  }

  it.effect("[K-39] an RSA signature of any usual size is complete, and cut off by a few characters is not", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")
      const identity = yield* WorkloadIdentity.file({ path })
      for (const bits of [2048, 2560, 3072, 4096, 7680, 8192]) {
        const signature = Buffer.alloc(bits / 8, 1).toString("base64url")
        const token = `${part({ alg: "PS256" })}.${part({ exp: later })}.${signature}`
        yield* write(path, token)
        assert.strictEqual(yield* value(identity), token, String(bits))
        for (let cut = 1; cut < 40; cut++) {
          yield* replace(path, token.slice(0, -cut))
          const fresh = yield* WorkloadIdentity.file({ path })
          assert.strictEqual((yield* failureOf(fresh)).details["reason"], "malformed", `${bits} bits, cut by ${cut}`)
        }
      }
    }).pipe(Effect.scoped, inFiles))

  it.effect("[K-39] without a good token before, an unusable file is an error with its reason", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const token = yield* jwt({ exp: later })
      const cases = [
        ...broken(token),
        ["without exp", yield* jwt({ sub: "workload" }), "malformed"],
        ["with an exp that is no number", yield* jwt({ exp: 1e300 }), "malformed"]
      ] as const
      for (const [name, text, reason] of cases) {
        yield* Effect.promise(() => Fs.rm(path, { force: true }))
        if (text !== undefined) yield* write(path, text)
        const { code, details } = yield* failureOf(yield* WorkloadIdentity.file({ path }))
        assert.strictEqual(code, "WORKLOAD_TOKEN_INVALID", name)
        assert.strictEqual(details["reason"], reason, name)
      }
    }).pipe(Effect.scoped, inFiles))

  it.effect("[K-39] with an audience, a token for another one is refused, and nothing of it is sent", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const audience = "https://idp.example"
      const identity = yield* WorkloadIdentity.file({ path, audience })
      for (const aud of ["https://kubernetes.default.svc", ["a", "b"], undefined, `${audience}/`]) {
        yield* write(path, yield* jwt({ exp: later, ...(aud === undefined ? undefined : { aud }) }))
        assert.strictEqual((yield* failureOf(identity)).details["reason"], "audience")
      }
      for (const aud of [audience, ["a", audience]]) {
        const token = yield* jwt({ exp: later, aud })
        yield* write(path, token)
        assert.strictEqual(yield* value(identity), token)
      }
    }).pipe(Effect.scoped, inFiles))

  it.effect("[K-39] a directory or a device is refused before it is opened", () =>
    Effect.gen(function*() {
      for (const path of [yield* directory, "/dev/zero"]) {
        const failure = yield* failureOf(yield* WorkloadIdentity.file({ path }))
        assert.strictEqual(failure.message, `The token file ${path} is no file`)
        assert.strictEqual(failure.details["reason"], "unreadable")
      }
    }).pipe(Effect.scoped, inFiles))

  it.effect("[K-39] the path can come from a variable; without it the source exists, and has no token", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const token = yield* jwt({ exp: later })
      yield* write(path, token)
      const source = WorkloadIdentity.file({ pathVariable: "AZURE_FEDERATED_TOKEN_FILE" })
      const identity = yield* inEnvironment({ AZURE_FEDERATED_TOKEN_FILE: path })(source)
      assert.strictEqual(yield* value(identity), token)
      assert.deepStrictEqual(yield* failureOf(yield* inFiles(source)), {
        code: "WORKLOAD_IDENTITY_UNAVAILABLE",
        message: "The environment variable AZURE_FEDERATED_TOKEN_FILE is not set",
        details: { reason: "environment", path: "AZURE_FEDERATED_TOKEN_FILE" }
      })
    }).pipe(Effect.scoped))
})

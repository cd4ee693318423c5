import { assert, describe, it } from "@effect/vitest"
import { Deadline } from "@keelson/core"
import { quiet, recording } from "@keelson/testing/observe"
import { Effect, Exit, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"
import * as Fs from "node:fs/promises"
import { join } from "node:path"
import { WorkloadIdentity } from "../src/index.ts"
import { directory, inEnvironment, json, jwt, later, metadataService } from "./workloadSupport.ts"

const audience = "https://idp.example"

/** A source that does as it is told, and counts its uses. */
const scripted = (name: string, answer: Effect.Effect<string, WorkloadIdentity.WorkloadIdentityError>) => {
  const own = { answer, uses: 0, interrupted: 0 }
  const acquire = Effect.suspend(() => {
    own.uses++
    return Effect.map(own.answer, (token) => ({ accessToken: Redacted.make(token) }))
  }).pipe(Effect.onInterrupt(() => Effect.sync(() => own.interrupted++)))
  const identity: WorkloadIdentity.WorkloadIdentity = {
    name,
    acquire,
    isRetryable: () => false,
    assertion: Effect.map(acquire, ({ accessToken }) => accessToken)
  }
  return Object.assign(own, { source: Effect.succeed(identity) })
}

const absent = (name: string) =>
  Effect.flatMap(
    inEnvironment({})(WorkloadIdentity.file({ pathVariable: name })),
    ({ assertion }) => Effect.as(assertion, "unreachable")
  ).pipe(Effect.catchTag("ConfigurationError", Effect.die))

const value = (identity: WorkloadIdentity.WorkloadIdentity) => Effect.map(identity.assertion, Redacted.value)

const after = (duration: "1 seconds" | "2 seconds" | "5 seconds" | "1 hour", token: string) =>
  Effect.as(Effect.sleep(duration), token)

describe("firstOf", () => {
  it.effect("[K-39] the first source that has a token is used; those after it are not asked", () =>
    Effect.gen(function*() {
      const sources = [
        scripted("a", absent("A")),
        scripted("b", Effect.succeed("from b")),
        scripted("c", Effect.succeed("from c"))
      ] as const
      const identity = yield* WorkloadIdentity.firstOf(sources.map(({ source }) => source), { within: "3 seconds" })
      assert.strictEqual(yield* value(identity), "from b")
      assert.deepStrictEqual(sources.map(({ uses }) => uses), [1, 1, 0])
      assert.strictEqual(identity.name, "a | b | c")
    }))

  it.effect("[K-39] the choice is kept until it fails, and logged only when it changes", () => {
    const { lines, record } = recording()
    return Effect.gen(function*() {
      const a = scripted("a", absent("A"))
      const b = scripted("b", Effect.succeed("from b"))
      const identity = yield* WorkloadIdentity.firstOf([a.source, b.source], { within: "2 seconds" })
      for (const _ of [1, 2, 3]) yield* identity.assertion
      assert.deepStrictEqual([a.uses, b.uses], [1, 3])
      // A source earlier in the order does not take over from one that works.
      a.answer = Effect.succeed("from a")
      assert.strictEqual(yield* value(identity), "from b")
      b.answer = absent("B")
      assert.strictEqual(yield* value(identity), "from a")
      assert.strictEqual(yield* value(identity), "from a")
      assert.deepStrictEqual([a.uses, b.uses], [3, 5])
      assert.strictEqual(lines.length, 2)
      assert.include(lines[0], "Workload identity chosen")
      assert.include(lines[0], "\"source\":\"b\"")
      assert.include(lines[1], "Workload identity changed")
    }).pipe(record)
  })

  it.effect("[K-39] a source that hangs delays the next one by its share of the limit, and is interrupted", () =>
    Effect.gen(function*() {
      const hangs = scripted("hangs", Effect.never)
      const works = scripted("works", Effect.succeed("token"))
      const spare = scripted("spare", Effect.succeed("spare"))
      const sources = [hangs, works, spare].map(({ source }) => source)
      const identity = yield* WorkloadIdentity.firstOf(sources, { within: "3 seconds" })
      const waiting = yield* Effect.forkChild(value(identity), { startImmediately: true })
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(waiting.pollUnsafe())
      assert.strictEqual(works.uses, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(waiting), "token")
      assert.deepStrictEqual([hangs.interrupted, spare.uses], [1, 0])
    }))

  it.effect("[K-39] a source that is slow can still win while the next one is asked", () =>
    Effect.gen(function*() {
      const slow = scripted("slow", after("2 seconds", "slow"))
      const slower = scripted("slower", after("5 seconds", "slower"))
      const identity = yield* WorkloadIdentity.firstOf([slow.source, slower.source], { within: "3 seconds" })
      const waiting = yield* Effect.forkChild(value(identity), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(waiting), "slow")
      assert.deepStrictEqual([slow.uses, slower.uses, slower.interrupted], [1, 1, 1])
    }))

  it.effect("[K-39] no use takes longer than the limit, also if nothing can be interrupted", () =>
    Effect.gen(function*() {
      const stuck = scripted("stuck", Effect.uninterruptible(after("1 hour", "late")))
      const also = scripted("also", Effect.uninterruptible(after("1 hour", "late")))
      const identity = yield* WorkloadIdentity.firstOf([stuck.source, also.source], { within: "2 seconds" })
      const waiting = yield* Effect.forkChild(Effect.flip(identity.assertion), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      const error = yield* Fiber.join(waiting)
      assert.strictEqual(error.code, "TIMEOUT")
      assert.strictEqual(error.message, "No source has a workload identity (stuck: TIMEOUT, also: TIMEOUT)")
      assert.isTrue(identity.isRetryable(error))
    }))

  it.effect("[K-39] a choice that begins to hang ends at the limit, and the next use asks the others", () =>
    Effect.gen(function*() {
      const a = scripted("a", Effect.succeed("from a"))
      const b = scripted("b", Effect.succeed("from b"))
      const identity = yield* WorkloadIdentity.firstOf([a.source, b.source], { within: "2 seconds" })
      yield* identity.assertion
      a.answer = Effect.never
      const waiting = yield* Effect.forkChild(Effect.flip(identity.assertion), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(waiting)).code, "TIMEOUT")
      const next = yield* Effect.forkChild(value(identity), { startImmediately: true })
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(yield* Fiber.join(next), "from b")
    }))

  it.effect("[K-39] if no source has a token, the error has the code of each", () =>
    Effect.gen(function*() {
      const identity = yield* WorkloadIdentity.firstOf([
        scripted("a", absent("A")).source,
        scripted("b", Effect.die(new Error("bug"))).source
      ])
      const error = yield* Effect.flip(identity.assertion)
      assert.strictEqual(error.code, "WORKLOAD_IDENTITY_UNAVAILABLE")
      assert.strictEqual(
        error.message,
        "No source has a workload identity (a: WORKLOAD_IDENTITY_UNAVAILABLE, b: INTERNAL_ERROR)"
      )
      assert.deepStrictEqual(error.details, { reason: "none" })
    }))

  it.effect("[K-39] callers that need a choice share it, and interrupting one affects no other", () =>
    Effect.gen(function*() {
      const a = scripted("a", after("1 seconds", "token"))
      const identity = yield* WorkloadIdentity.firstOf([a.source], { within: "2 seconds" })
      const first = yield* Effect.forkChild(value(identity), { startImmediately: true })
      const others = yield* Effect.forEach(
        Array.from({ length: 50 }),
        () => Effect.forkChild(value(identity), { startImmediately: true })
      )
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 seconds")
      const exits = yield* Effect.forEach(others, Fiber.await)
      assert.isTrue(exits.every((exit) => Exit.isSuccess(exit) && exit.value === "token"))
      assert.deepStrictEqual([a.uses, a.interrupted], [1, 0])
    }))

  it.effect("[K-39] a caller with less time than others does not cut their choice short", () =>
    Effect.gen(function*() {
      const a = scripted("a", Effect.orDie(Deadline.within(after("1 seconds", "token"), "1 hour")))
      const identity = yield* WorkloadIdentity.firstOf([a.source], { within: "2 seconds" })
      const hurried = Deadline.within(value(identity), "500 millis", { detach: true })
      const first = yield* Effect.forkChild(Effect.flip(hurried), { startImmediately: true })
      const other = yield* Effect.forkChild(value(identity), { startImmediately: true })
      yield* TestClock.adjust("500 millis")
      assert.strictEqual((yield* Fiber.join(first)).code, "TIMEOUT")
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(yield* Fiber.join(other), "token")
      assert.strictEqual(a.uses, 1)
    }))

  it.effect("[K-39] sources are required, and wrong options of one are an error of all", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(WorkloadIdentity.firstOf([]))).details["path"], "sources")
      const wrong = inEnvironment({})(WorkloadIdentity.firstOf([
        WorkloadIdentity.file({ path: "/a" }),
        WorkloadIdentity.gcp({ audience: "" })
      ]))
      assert.strictEqual((yield* Effect.flip(wrong)).details["path"], "audience")
      const late = WorkloadIdentity.firstOf([scripted("a", Effect.never).source], { within: "1 hour" })
      assert.strictEqual((yield* Effect.flip(late)).details["path"], "within")
    }))

  it.effect("[K-39] real endpoints that hang do not keep a file from being used", () => {
    const { lines, record } = recording()
    return Effect.gen(function*() {
      const path = join(yield* directory, "token")
      const token = yield* jwt({ exp: later, aud: audience })
      yield* Effect.promise(() => Fs.writeFile(path, token))
      const hanging = yield* metadataService(() => undefined)
      const identity = yield* inEnvironment({})(WorkloadIdentity.firstOf([
        WorkloadIdentity.azureManagedIdentity({ resource: "r", endpoint: hanging.url, timeout: "5 minutes" }),
        WorkloadIdentity.gcp({ audience, endpoint: hanging.url, timeout: "5 minutes" }),
        WorkloadIdentity.file({ path, audience })
      ], { within: "3 minutes" }))
      const waiting = yield* Effect.forkChild(value(identity), { startImmediately: true })
      for (const _ of [1, 2]) {
        yield* Effect.callback<void>((resume) => {
          hanging.onHang = () => resume(Effect.void)
        })
        yield* TestClock.adjust("1 minutes")
      }
      assert.strictEqual(yield* Fiber.join(waiting), token)
      assert.include(lines[0], `"source":"file ${path}"`)
    }).pipe(record, Effect.scoped)
  })

  it.live("[K-39] real endpoints that all hang end at the limit", () =>
    Effect.gen(function*() {
      const hanging = yield* metadataService(() => undefined)
      const identity = yield* inEnvironment({})(WorkloadIdentity.firstOf([
        WorkloadIdentity.azureManagedIdentity({ resource: "r", endpoint: hanging.url, timeout: "5 minutes" }),
        WorkloadIdentity.gcp({ audience, endpoint: hanging.url, timeout: "5 minutes" })
      ], { within: "200 millis" }))
      assert.strictEqual((yield* Effect.flip(identity.assertion)).code, "TIMEOUT")
    }).pipe(Effect.scoped, quiet))
})

describe("detect", () => {
  it.live("[K-39] uses what the environment names, if its token is for the audience", () =>
    Effect.gen(function*() {
      const root = yield* directory
      const [azure, aws] = [join(root, "azure"), join(root, "aws")]
      const forAzure = yield* jwt({ exp: later, aud: "api://AzureADTokenExchange" })
      const forUs = yield* jwt({ exp: later, aud: audience })
      yield* Effect.promise(() => Fs.writeFile(azure, forAzure))
      yield* Effect.promise(() => Fs.writeFile(aws, forUs))
      const files = { AZURE_FEDERATED_TOKEN_FILE: azure, AWS_WEB_IDENTITY_TOKEN_FILE: aws }
      const identity = yield* inEnvironment(files)(WorkloadIdentity.detect({ audience }))
      assert.strictEqual(
        identity.name,
        "file AZURE_FEDERATED_TOKEN_FILE | file AWS_WEB_IDENTITY_TOKEN_FILE | githubActions"
      )
      assert.strictEqual(yield* value(identity), forUs)
      const entra = yield* inEnvironment(files)(WorkloadIdentity.detect({ audience: "api://AzureADTokenExchange" }))
      assert.strictEqual(yield* value(entra), forAzure)
      const github = yield* metadataService(() => json({ value: forUs }))
      const inJob = yield* inEnvironment({
        ACTIONS_ID_TOKEN_REQUEST_URL: `${github.url}/?api-version=2.0`,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: "t"
      })(WorkloadIdentity.detect({ audience }))
      assert.strictEqual(yield* value(inJob), forUs)
      const nowhere = yield* inEnvironment({})(WorkloadIdentity.detect({ audience }))
      assert.strictEqual((yield* Effect.flip(nowhere.assertion)).code, "WORKLOAD_IDENTITY_UNAVAILABLE")
    }).pipe(Effect.scoped, quiet))
})

/** What can happen besides HTTP: signals, Effect's own errors, a database, and what other runtimes were seen to do. */
import { attempt } from "@keelson/testing/attempt"
import { Cause, Config, ConfigProvider, Effect, PlatformError, Schema } from "effect"
import { CircuitBreaker, RateLimiter } from "effect/persistence"
import { SqlError } from "effect/sql"
import { request } from "node:http"
import { DatabaseSync } from "node:sqlite"
import type { ErrorCode } from "../../src/index.ts"
import { brokenOrigin } from "./brokenOrigin.ts"
import type { Fault } from "./fault.ts"

/** A call that fails with any value, as those of other libraries do. */
const failure = (error: unknown) => Effect.fail(error)

const rejected = (call: (origin: string) => Promise<unknown>) =>
  Effect.flatMap(brokenOrigin, (origin) => attempt(() => call(origin)))

const overNodeHttp = (signal: (abort: () => void) => AbortSignal) => (origin: string) =>
  new Promise((_, reject) => {
    const call: { abort: () => void } = { abort: () => {} }
    const sent = request(`${origin}/hang`, { signal: signal(() => call.abort()) })
    sent.on("error", reject)
    sent.end()
  })

const cancelled = (): AbortSignal => {
  const controller = new AbortController()
  setImmediate(() => controller.abort())
  return controller.signal
}

const signals: ReadonlyArray<Fault> = [
  {
    ids: "K-28 D4",
    area: "Signals",
    what: "the caller aborts",
    where: "fetch",
    code: "CANCELLED",
    make: rejected((origin) => fetch(`${origin}/hang`, { signal: cancelled() }))
  },
  {
    ids: "K-28 D4",
    area: "Signals",
    what: "the caller aborts",
    where: "node:http",
    code: "CANCELLED",
    make: rejected(overNodeHttp(cancelled))
  },
  {
    ids: "K-28 D4",
    area: "Signals",
    what: "the signal of `AbortSignal.timeout` ends",
    where: "fetch",
    code: "TIMEOUT",
    make: rejected((origin) => fetch(`${origin}/hang`, { signal: AbortSignal.timeout(1) }))
  },
  {
    ids: "K-28 D4",
    area: "Signals",
    what: "the signal of `AbortSignal.timeout` ends",
    where: "node:http",
    code: "TIMEOUT",
    make: rejected(overNodeHttp(() => AbortSignal.timeout(1)))
  }
]

const window = { algorithm: "fixed-window", window: "1 minute", limit: 1, key: "a", onExceeded: "fail" } as const

const effects: ReadonlyArray<Omit<Fault, "area" | "where">> = [
  { ids: "", what: "`Effect.timeout` ends the call", code: "TIMEOUT", make: Effect.timeout(Effect.never, 0) },
  {
    ids: "K-28 D5",
    what: "a value does not match its schema (`SchemaError`)",
    code: undefined,
    retried: false,
    breaker: "ignored",
    make: Schema.decodeUnknownEffect(Schema.Number)("one")
  },
  {
    ids: "K-28 D5",
    what: "an option is missing (`ConfigError`)",
    code: undefined,
    retried: false,
    breaker: "ignored",
    make: Effect.provideService(
      Config.String("NOWHERE"),
      ConfigProvider.ConfigProvider,
      ConfigProvider.fromEnv({ env: {} })
    )
  },
  {
    ids: "K-28 D5",
    what: "an argument of a platform service is invalid (`BadArgument`)",
    code: undefined,
    retried: false,
    breaker: "ignored",
    make: Effect.fail(PlatformError.badArgument({ module: "FileSystem", method: "open" }))
  },
  {
    ids: "K-28 D5",
    what: "Effect's circuit breaker rejects the call",
    code: "CIRCUIT_OPEN",
    make: Effect.gen(function*() {
      const breaker = yield* CircuitBreaker.make({
        tripPolicy: CircuitBreaker.consecutive(1),
        openDuration: "1 minute"
      })
      yield* Effect.ignore(breaker.execute(Effect.fail("down"), { key: "a" }))
      yield* breaker.execute(Effect.void, { key: "a" })
    }).pipe(Effect.provide(CircuitBreaker.layerStoreMemory()))
  },
  {
    ids: "K-28 D5",
    what: "Effect's rate limiter rejects the call",
    code: "RATE_LIMITED",
    make: Effect.gen(function*() {
      const limiter = yield* RateLimiter.make
      yield* limiter.consume(window)
      yield* limiter.consume(window)
    }).pipe(Effect.provide(RateLimiter.layerStoreMemory))
  },
  { ids: "", what: "any other failure", code: undefined, make: failure(new Error("down")) },
  {
    ids: "",
    what: "an absent value (`NoSuchElementError`)",
    code: undefined,
    make: Effect.fail(new Cause.NoSuchElementError())
  }
]

/** `node:sqlite` has the number of an error as `errcode`, other drivers as `errno`. */
const withErrno = (cause: unknown): unknown =>
  cause instanceof Error && "errcode" in cause ? Object.assign(cause, { errno: cause.errcode }) : cause

/** A database in memory, with an error of SQLite as Effect's drivers classify it. */
const inDatabase = (statement: string) =>
  Effect.try({
    try: () => {
      const database = new DatabaseSync(":memory:")
      database.exec(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL); INSERT INTO orders VALUES (1, 2)"
      )
      database.exec(statement)
    },
    catch: (cause) => new SqlError.SqlError({ reason: SqlError.classifySqliteError(withErrno(cause)) })
  })
const sqlError = (reason: SqlError.SqlErrorReason) => Effect.fail(new SqlError.SqlError({ reason }))
const cause = new Error("database")

const databases: ReadonlyArray<Omit<Fault, "area" | "where">> = [
  {
    ids: "K-28 D5",
    what: "a row exists already",
    code: undefined,
    retried: false,
    breaker: "ignored",
    make: inDatabase("INSERT INTO orders VALUES (1, 3)")
  },
  {
    ids: "K-28 D5",
    what: "a constraint is violated",
    code: undefined,
    retried: false,
    breaker: "ignored",
    make: inDatabase("INSERT INTO orders VALUES (2, NULL)")
  },
  {
    ids: "K-28 D5",
    what: "the driver cannot classify the failure",
    code: undefined,
    retried: false,
    breaker: "failure",
    make: inDatabase("SELECT amount FROM nowhere")
  },
  {
    ids: "K-28 D5",
    what: "two transactions lock each other",
    code: undefined,
    retried: true,
    breaker: "ignored",
    make: sqlError(new SqlError.DeadlockError({ cause }))
  },
  {
    ids: "K-28 D5",
    what: "a statement takes too long",
    code: undefined,
    retried: true,
    breaker: "failure",
    make: sqlError(new SqlError.StatementTimeoutError({ cause }))
  },
  {
    ids: "K-28 D5",
    what: "the database refuses the connection",
    code: "NETWORK_ERROR",
    make: sqlError(
      new SqlError.ConnectionError({ cause: Object.assign(new Error("connect"), { code: "ECONNREFUSED" }) })
    )
  }
]

const typeError = (message: string, members?: { readonly code?: string; readonly cause?: unknown }) =>
  failure(Object.assign(new TypeError(message), members))

/** As recorded with Bun 1.4.5 and Deno 2.9.6, since tests run on Node. */
const observed: ReadonlyArray<readonly [string, string, ErrorCode.ErrorCode, Fault["make"]]> = [
  [
    "Bun 1.4",
    "the connection is reset, closed, or breaks off",
    "NETWORK_ERROR",
    typeError("ECONNRESET: closed", { code: "ECONNRESET" })
  ],
  [
    "Bun 1.4",
    "the connection is refused",
    "NETWORK_ERROR",
    typeError("ECONNREFUSED: Unable to connect", { code: "ECONNREFUSED" })
  ],
  [
    "Bun 1.4",
    "a chunk of the body is not HTTP",
    "NETWORK_ERROR",
    typeError("InvalidHTTPResponse fetching", { code: "InvalidHTTPResponse" })
  ],
  [
    "Bun 1.4",
    "a redirect leads nowhere",
    "UPSTREAM_REJECTED",
    typeError("TooManyRedirects", { code: "TooManyRedirects" })
  ],
  ["Bun 1.4", "a header has a line break", "REQUEST_INVALID", typeError("Header 'x-a' has invalid value")],
  ["Bun 1.4", "a header's name has a space", "REQUEST_INVALID", typeError("Invalid header name: 'x a'")],
  [
    "Bun 1.4",
    "the scheme of the URL is not known",
    "REQUEST_INVALID",
    typeError("protocol must be http:, https: or s3:", { code: "ERR_INVALID_ARG_VALUE" })
  ],
  [
    "Deno 2.9",
    "the connection is reset, closed or refused",
    "NETWORK_ERROR",
    typeError("fetch failed", { cause: new Error("error sending request for url (http://localhost:2/)") })
  ],
  ["Deno 2.9", "the body breaks off", "NETWORK_ERROR", typeError("error reading a body from connection")],
  [
    "Deno 2.9",
    "a redirect leads nowhere",
    "UPSTREAM_REJECTED",
    typeError("Fetch failed: Maximum number of redirects (20) reached")
  ],
  ["Deno 2.9", "a header has a line break", "REQUEST_INVALID", typeError("Invalid header value: \"a\nb\"")],
  ["Deno 2.9", "the scheme of the URL is not known", "REQUEST_INVALID", typeError("Url scheme 'ftp' not supported")],
  ["Deno 2.9", "the port is blocked", "REQUEST_INVALID", typeError("Fetch failed: Requests to port 22 are blocked")]
]
const recorded = observed.map(([where, what, code, make]) => ({ ids: "", where, what, code, make }))

export const otherFaults: ReadonlyArray<Fault> = [
  ...signals,
  ...effects.map((fault): Fault => ({ ...fault, area: "Effect", where: "Effect" })),
  ...databases.map((fault): Fault => ({ ...fault, area: "SQL", where: "effect/sql" })),
  ...recorded.map((fault): Fault => ({ ...fault, area: "Other runtimes" }))
]

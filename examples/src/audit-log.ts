/**
 * An API with an audit log: what its callers did, and what its own token provider did, one line each in a file. Run it with
 * `node examples/src/audit-log.ts`; it prints the lines, and exits after about a second.
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { AuditEvents, AuditLog, AuditMiddleware } from "@keelson/audit"
import * as NodeAudit from "@keelson/audit/NodeAudit"
import { Claims, HttpSecurity, Principal, TokenProvider, TokenValidator, ValidationPolicy } from "@keelson/token"
import { TestIssuer } from "@keelson/token/testing"
import { Console, Effect, Layer, Logger } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"

class Tokens extends TokenValidator.Service<Tokens>()("app/Tokens", { claims: Claims.AccessToken }) {}
class Caller extends Principal.Service<Caller, Claims.AccessToken>()("app/Caller") {}

const policy = ValidationPolicy.accessToken({
  issuers: ["https://idp.example"],
  audiences: ["invoices"],
  algorithms: ["ES256"]
})
const issuer = TestIssuer.layer({ policy })

const security = HttpSecurity.middleware({ validator: Tokens, principal: Caller })

/** Only the handler knows which object a request is about. */
const invoice = HttpRouter.add(
  "GET",
  "/invoices/:id",
  Effect.gen(function*() {
    const { id } = yield* HttpRouter.params
    const caller = yield* Caller
    yield* AuditMiddleware.annotate({ bucket: "invoices", objectKey: `${id}.json` })
    return HttpServerResponse.text(`invoice ${id} of ${caller.subject}`)
  })
)

/** A provider whose authorization server is down. Its events are in the log, too. */
const provider = TokenProvider.layer({ name: "billing", source: Effect.fail("connection refused") })
const events = Layer.unwrap(
  Effect.map(TokenProvider.TokenProvider, (tokens) => AuditEvents.layer({ tokens: [tokens.events] }))
)

const requests = Effect.gen(function*() {
  const { token } = yield* TestIssuer.TestIssuer
  const { address } = yield* HttpServer.HttpServer
  const url = address._tag === "UnixPathAddress" ? "" : `http://127.0.0.1:${address.port}`
  const get = (path: string, headers: Readonly<Record<string, string>>) =>
    Effect.promise(async () => {
      const response = await fetch(url + path, { headers })
      await response.text()
    })
  const valid = `Bearer ${yield* token({ sub: "alice" })}`
  const expired = `Bearer ${yield* token({ sub: "alice" }, { fault: "expired" })}`
  yield* get("/invoices/1", { authorization: valid, "x-correlation-id": "order-4711" })
  yield* get("/invoices/1?access_token=abc", { authorization: expired })
  yield* get("/invoices/1", {})
  yield* get("/other", {})
  yield* Effect.ignore(Effect.flatMap(TokenProvider.TokenProvider, ({ get }) => get))
  // The events of the provider come through a stream.
  yield* Effect.sleep("50 millis")
})

const serverOf = (path: string) => {
  const routes = Layer.merge(Layer.provide(invoice, security.layer), AuditMiddleware.layer({ logRequests: false }))
  return Layer.merge(HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }), events).pipe(
    Layer.provideMerge(Layer.mergeAll(
      NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" }),
      Layer.provideMerge(Tokens.layer(policy), issuer),
      provider,
      NodeAudit.layer({ enabled: true, file: { path } })
    ))
  )
}

const main = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-audit-"))),
    (created) => Effect.sync(() => rmSync(created, { recursive: true }))
  )
  const path = join(folder, "audit.jsonl")
  const stats = yield* requests.pipe(
    Effect.andThen(AuditLog.AuditLog.use((log) => Effect.andThen(log.flush, log.stats))),
    Effect.provide(Layer.provideMerge(serverOf(path), Logger.layer([])))
  )
  yield* Console.log(readFileSync(path, "utf8").trimEnd())
  const { lost, written } = stats.sinks["file"] ?? { lost: 0, written: 0 }
  yield* Console.log(`${stats.recorded} entries, ${written} written, ${lost} lost`)
})

NodeRuntime.runMain(Effect.scoped(main))

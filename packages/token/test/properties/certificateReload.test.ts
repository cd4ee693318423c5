import { assert, describe, it } from "@effect/vitest"
import { caFile, fixturePath } from "@keelson/testing/httpsOrigin"
import { quiet } from "@keelson/testing/observe"
import { forAllEffect } from "@keelson/testing/properties"
import { Context, Effect, Layer } from "effect"
import { HttpClient } from "effect/http"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import * as NodeMutualTls from "../../src/NodeMutualTls.ts"
import { certificateFiles, mutualServer, thumbprintOf } from "../mutualTlsServers.ts"

/** What a file has: the certificate or key of a client, other text, or nothing. */
type Content = "client" | "nextClient" | "garbage" | "missing"
const content = fc.constantFrom<Content>("client", "nextClient", "garbage", "missing")

const command = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("Write" as const),
      file: fc.constantFrom("cert" as const, "key" as const),
      content
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      _tag: fc.constant("Replace" as const),
      content: fc.constantFrom("client" as const, "nextClient" as const)
    })
  },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Wait" as const), seconds: fc.integer({ min: 1, max: 90 }) }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Call" as const), calls: fc.integer({ min: 1, max: 3 }) }) }
)

const write = (path: string, kind: "cert" | "key", what: Content): void => {
  if (what === "missing") rmSync(path, { force: true })
  else writeFileSync(path, what === "garbage" ? "garbage" : readFileSync(fixturePath(`${what}.${kind}.pem`)))
}

const isClient = (what: Content): what is "client" | "nextClient" => what === "client" || what === "nextClient"

describe("A client certificate", () => {
  it("[K-23] whatever becomes of its files, requests succeed with the last pair that fits, as of the last check", (test) =>
    forAllEffect(test, 100, fc.array(command, { maxLength: 14 }), (commands) =>
      Effect.gen(function*() {
        const { certFile, keyFile } = yield* certificateFiles
        const server = yield* mutualServer()
        const context = yield* Layer.build(NodeMutualTls.layer({ certFile, keyFile, caFile }))
        const client = Context.get(context, HttpClient.HttpClient)
        const files: { cert: Content; key: Content } = { cert: "client", key: "client" }
        let inUse: "client" | "nextClient" = "client"
        let sinceCheck = 0
        for (const command of commands) {
          if (command._tag === "Wait") {
            sinceCheck += command.seconds
            yield* TestClock.adjust(`${command.seconds} seconds`)
          } else if (command._tag === "Call") {
            for (let call = 0; call < command.calls; call++) {
              if (sinceCheck >= 60) {
                sinceCheck = 0
                if (files.cert === files.key && isClient(files.cert)) inUse = files.cert
              }
              const response = yield* client.get(server.url)
              yield* response.text
              assert.strictEqual(response.status, 200)
              assert.strictEqual(server.peers.at(-1), thumbprintOf(inUse))
            }
          } else {
            const changed = command._tag === "Replace"
              ? { cert: command.content, key: command.content }
              : { [command.file]: command.content }
            Object.assign(files, changed)
            write(certFile, "cert", files.cert)
            write(keyFile, "key", files.key)
          }
        }
      }).pipe(quiet)))
})

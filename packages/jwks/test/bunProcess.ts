/** Runs on Bun: builds both egresses, and prints what they do with a server on this machine. */
import { Context, Effect, Layer } from "effect"
import { Egress } from "../src/Egress.ts"
import * as FetchEgress from "../src/FetchEgress.ts"
import * as NodeEgress from "../src/NodeEgress.ts"

const url = process.argv[2] ?? ""

const program = Effect.gen(function*() {
  const refused = yield* Effect.flip(Layer.build(NodeEgress.layer({ allowLocalhost: true })))
  console.log(refused.code, refused.message)
  const layer = FetchEgress.layer({ allowLocalhost: true, allowedHosts: ["127.0.0.1"] })
  const egress = Context.get(yield* Layer.build(layer), Egress)
  const response = yield* egress.get({ url })
  console.log(response.status, new TextDecoder().decode(response.body))
  const pinned = yield* Effect.flip(egress.get({ url, rules: { pins: ["A".repeat(43) + "="] } }))
  console.log(pinned.code, pinned.details["reason"])
  const hidden = yield* Effect.flip(egress.get({ url: url.replace("127.0.0.1", "10.0.0.1") }))
  console.log(hidden.code, hidden.message)
})

await Effect.runPromise(Effect.scoped(program))

/**
 * A separate process, since a broken connection might end it: an origin responds with ten content codings and is cut off
 * after the egress gave up. Prints the result of each request.
 */
import { eventually } from "@keelson/testing/eventually"
import { httpsOrigin } from "@keelson/testing/httpsOrigin"
import { Context, Effect, Layer } from "effect"
import { randomBytes } from "node:crypto"
import type { Socket } from "node:net"
import { Egress } from "../src/Egress.ts"
import * as FetchEgress from "../src/FetchEgress.ts"

const sockets = new Set<Socket>()
const codings = Array.from({ length: 10 }, () => "gzip")

const program = Effect.gen(function*() {
  const origin = yield* httpsOrigin((request, response) => {
    sockets.add(request.socket)
    if (request.url === "/") return void response.end("alive")
    response.setHeader("content-encoding", request.url === "/listed" ? codings.join(", ") : codings)
    response.write(randomBytes(request.url === "/long" ? 200_000 : 1_000))
  }, { plain: true })
  const layer = FetchEgress.layer({ allowLocalhost: true, unverifiedAddresses: true })
  const egress = Context.get(yield* Layer.build(layer), Egress)
  const ask = (path: string) =>
    egress.get({ url: `http://127.0.0.1:${origin.port}${path}` }).pipe(
      Effect.match({ onFailure: ({ code }) => code, onSuccess: ({ body }) => new TextDecoder().decode(body) })
    )
  for (const path of ["/long", "/short", "/listed"]) {
    const code = yield* ask(path)
    for (const socket of sockets) socket.resetAndDestroy()
    yield* eventually(() => origin.open() === 0)
    console.log(path, code)
  }
  console.log("/", yield* ask("/"))
})

await Effect.runPromise(Effect.scoped(program))

/** A real HTTP server on 127.0.0.1 that misbehaves by the script, and counts what reaches it. */
import { NodeHttpServer, NodeHttpServerRequest } from "@effect/platform-node"
import { Effect, Random, type Scope } from "effect"
import { HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import type { Phase, Timeline } from "./timeline.ts"

/** One request as the server saw it. */
export interface Arrival {
  readonly call: string
  /** Milliseconds since the script began. */
  readonly at: number
  readonly phase: Phase["name"]
  /** What it was answered: a status, or nothing. */
  readonly answer: number | "none" | "reset"
}

export interface Origin {
  readonly url: string
  readonly arrivals: ReadonlyArray<Arrival>
}

/** What a client sends to say which call an attempt belongs to. */
export const callHeader = "x-call-id"

const answerFor = (name: Phase["name"], part: number, random: number): Arrival["answer"] => {
  switch (name) {
    case "flaky":
      return random < 0.5 ? 503 : 200
    case "limited":
      return part < 1 / 3 ? 429 : 200
    case "hangs":
      return "none"
    case "down":
      return "reset"
    case "steady":
    case "recovery":
      return 200
  }
}

const respond = (
  request: HttpServerRequest.HttpServerRequest,
  answer: Arrival["answer"]
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  if (answer === "reset") NodeHttpServerRequest.toIncomingMessage(request).socket.destroy()
  // A handler that is served without a router runs uninterruptibly: say that it ends when its client goes away.
  if (typeof answer !== "number") return Effect.interruptible(Effect.never)
  return Effect.succeed(
    HttpServerResponse.jsonUnsafe({ status: answer }, {
      status: answer,
      headers: answer === 429 ? { "retry-after": "1" } : {}
    })
  )
}

/** Answers until its scope closes. A request for another host than this one is refused. */
export const makeOrigin = (timeline: Timeline): Effect.Effect<Origin, never, Scope.Scope> =>
  Effect.gen(function*() {
    const arrivals: Array<Arrival> = []
    const server = yield* NodeHttpServer.make(createServer, {
      port: 0,
      host: "127.0.0.1",
      gracefulShutdownTimeout: "100 millis"
    })
    const url = HttpServer.formatAddress(server.address)
    const { host } = new URL(url)
    const handle = Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      if (request.headers["host"] !== host) return HttpServerResponse.empty({ status: 421 })
      const at = timeline.now()
      const { part, phase } = timeline.at(at)
      const answer = answerFor(phase.name, part, yield* Random.next)
      arrivals.push({ call: request.headers[callHeader] ?? "", at, phase: phase.name, answer })
      return yield* respond(request, answer)
    })
    yield* server.serve(handle)
    return { url, arrivals }
  }).pipe(Effect.orDie)

/** A real HTTP server on a free loopback port that answers by a script and counts what reaches it. */
import { Effect, type Scope } from "effect"
import { readFileSync } from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import { join } from "node:path"

/**
 * What the origin does with one request: a status, a whole response, a connection that is reset before any answer, or
 * none at all. A body that is `endless` drips for as long as somebody listens.
 */
export type Answer = number | "reset" | "hang" | {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly endless?: boolean
}

interface Received {
  readonly method: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

export interface Origin {
  readonly url: string
  /** Every request so far, in order. */
  readonly received: ReadonlyArray<Received>
  /** How many requests ended because the client closed the connection. */
  readonly aborted: () => number
  /** Called with each request that is left without an answer. */
  onHang: () => void
}

const drip = (response: Http.ServerResponse): void => {
  const timer = setInterval(() => response.write("drip "), 2)
  response.once("close", () => clearInterval(timer))
}

const answer = (request: Http.IncomingMessage, response: Http.ServerResponse, what: Exclude<Answer, "hang">): void => {
  if (what === "reset") {
    request.socket.resetAndDestroy()
    return
  }
  const { body = "", endless = false, headers = {}, status } = typeof what === "number" ? { status: what } : what
  response.writeHead(status, headers)
  if (endless) drip(response)
  else response.end(body)
}

const bodyOf = async (request: Http.IncomingMessage): Promise<string> => {
  let body = ""
  for await (const chunk of request) body += String(chunk)
  return body
}

const listen = (
  server: Http.Server,
  scheme: "http" | "https",
  script: ReadonlyArray<Answer>
): Effect.Effect<Origin, never, Scope.Scope> => {
  const received: Array<Received> = []
  let aborted = 0
  const origin: { -readonly [K in keyof Origin]: Origin[K] } = {
    url: "",
    received,
    aborted: () => aborted,
    onHang: () => {}
  }
  const handle = async (request: Http.IncomingMessage, response: Http.ServerResponse): Promise<void> => {
    const body = await bodyOf(request)
    received.push({ method: request.method ?? "", headers: request.headers, body })
    const what = script[received.length - 1] ?? 200
    response.once("close", () => {
      if (!response.writableFinished && what !== "reset") aborted++
    })
    if (what === "hang") origin.onHang()
    else answer(request, response, what)
  }
  // A client that goes away while it sends is no failure of the server's.
  server.on("request", (request, response) => void handle(request, response).catch(() => response.destroy()))
  return Effect.acquireRelease(
    Effect.callback<Origin>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "string" ? address : address?.port
        origin.url = `${scheme}://127.0.0.1:${port}/`
        resume(Effect.succeed(origin))
      })
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
}

/** Answers the requests one after another as the script says, and 200 after its end. */
export const httpOrigin = (...script: ReadonlyArray<Answer>): Effect.Effect<Origin, never, Scope.Scope> =>
  Effect.suspend(() => listen(Http.createServer(), "http", script))

const fixture = (name: string) => readFileSync(join(import.meta.dirname, "fixtures", name))

/** The same behind TLS, with a certificate that nobody trusts. */
export const selfSignedOrigin: Effect.Effect<Origin, never, Scope.Scope> = Effect.suspend(() =>
  listen(
    Https.createServer({ key: fixture("selfSigned.key.pem"), cert: fixture("selfSigned.cert.pem") }),
    "https",
    []
  )
)

/** A real HTTP server on a free loopback port that responds by a script and counts its requests. */
import { Effect, type Scope } from "effect"
import { readFileSync } from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import { join } from "node:path"

/**
 * What the origin does with one request: sends a status or a whole response, resets the connection before any response, or
 * never responds. An `endless` body is sent slowly until the client disconnects.
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
  /** Called with each request that gets no response. */
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
  // A client that disconnects while it sends is not a failure of the server.
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

/** Responds to the requests in turn as the script says, and with 200 after its end. */
export const httpOrigin = (...script: ReadonlyArray<Answer>): Effect.Effect<Origin, never, Scope.Scope> =>
  Effect.suspend(() => listen(Http.createServer(), "http", script))

const fixture = (name: string) => readFileSync(join(import.meta.dirname, "fixtures", name))

/** The same over TLS, with an untrusted certificate. */
export const selfSignedOrigin: Effect.Effect<Origin, never, Scope.Scope> = Effect.suspend(() =>
  listen(
    Https.createServer({ key: fixture("selfSigned.key.pem"), cert: fixture("selfSigned.cert.pem") }),
    "https",
    []
  )
)

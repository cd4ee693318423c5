import { Effect, type Scope } from "effect"
import * as Http from "node:http"

const urlOf = (server: Http.Server): string => {
  const address = server.address()
  return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
}

/** A server on a free port of 127.0.0.1, until the scope closes: its URL. A request for another host is refused. */
export const listen = (handle: Http.RequestListener): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Http.Server>((resume) => {
        const server = Http.createServer((request, response) => {
          if (request.headers.host === new URL(urlOf(server)).host) handle(request, response)
          else response.writeHead(421).end()
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    ),
    urlOf
  )

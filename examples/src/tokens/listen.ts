import { Effect, type Scope } from "effect"
import * as Http from "node:http"

const urlOf = (server: Http.Server): string => {
  const address = server.address()
  return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
}

/** Starts a server on a free port of 127.0.0.1 that runs until the scope closes, and returns its URL. Rejects requests to another host. */
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

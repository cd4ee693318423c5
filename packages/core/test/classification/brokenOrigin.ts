/** A server that answers each path with one fault, on the level of sockets. */
import { Effect, type Scope } from "effect"
import { createServer, type Socket } from "node:net"

/** Sends the beginning of a response, and then does what breaks it off. */
const cut = (head: string, end: (socket: Socket) => void) => (socket: Socket): void => {
  socket.write(head, () => setImmediate(() => end(socket)))
}

const close = (socket: Socket): void => void socket.end()
const reset = (socket: Socket): void => void socket.resetAndDestroy()

const faults: Readonly<Record<string, (socket: Socket) => void>> = {
  "/reset": reset,
  "/close": close,
  "/body-closed": cut("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc", close),
  "/body-reset": cut("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc", reset),
  "/chunk-closed": cut("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhe", close),
  "/chunk-broken": cut("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhe", close),
  "/not-http": cut("hello there\r\n\r\n", close),
  "/head-too-large": cut(`HTTP/1.1 200 OK\r\nx-large: ${"a".repeat(200_000)}\r\n\r\n`, close),
  "/not-json": cut("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc", close),
  "/not-gzip": cut("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc", close),
  "/redirect": cut(
    "HTTP/1.1 302 Found\r\nlocation: /redirect\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    close
  ),
  "/hang": () => {}
}

const status = (path: string) => (socket: Socket): void =>
  void socket.end(`HTTP/1.1 ${path.slice(1)} Status\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`)

/** The URL of the server, without a path. `/503` is answered with that status. */
export const brokenOrigin: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.callback<{ readonly url: string; readonly close: Effect.Effect<void> }>((resume) => {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.once("close", () => sockets.delete(socket))
      socket.once("data", (data) => {
        const path = String(data).split(" ")[1] ?? ""
        const answer = faults[path] ?? status(path)
        answer(socket)
      })
    })
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "string" ? address : address?.port
      resume(Effect.succeed({
        url: `http://127.0.0.1:${port}`,
        close: Effect.sync(() => {
          for (const socket of sockets) socket.destroy()
          server.close()
        })
      }))
    })
  }),
  ({ close }) => close
).pipe(Effect.map(({ url }) => url))

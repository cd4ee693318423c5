/**
 * The other side of the soak, in a separate thread with its own heap: key sets that rotate, a token endpoint and an API, all of
 * them flaky.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { parentPort } from "node:worker_threads"
import { jwkOf, type Signer, signerOf, tokenOf } from "../token/issuer.ts"
import { type Answer, audience, issuers, type Order } from "./messages.ts"

const rotateEvery = 45_000
const tokenLife = 120

let serial = 0
let rotations = 0
let keys = 0
let port = 0

const fresh = (): Signer => ({ ...signerOf("ES256"), kid: `soak-${++keys}` })
/** The next key, published before it signs; the one that signs; and older ones, whose tokens are still valid. */
let signers: ReadonlyArray<Signer> = [fresh(), fresh()]

setInterval(() => {
  rotations++
  signers = [fresh(), ...signers].slice(0, 5)
}, rotateEvery)

const mint = (): string => {
  const [, signer] = signers
  const now = Math.floor(Date.now() / 1000)
  const subject = `user-${++serial}`
  return signer === undefined ? "" : tokenOf(signer, {
    iss: `http://127.0.0.1:${port}/${serial % issuers}`,
    aud: audience,
    sub: subject,
    client_id: "soak",
    scope: "rows:read rows:write",
    iat: now,
    exp: now + tokenLife,
    jti: `jti-${serial}`
  })
}

const json = (
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {}
) => response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))

/** One in four requests fails, in turn in each of the ways of a real server. */
const faults: ReadonlyArray<(request: IncomingMessage, response: ServerResponse) => void> = [
  (_, response) => json(response, 503, { error: "unavailable" }, { "retry-after": "1" }),
  (request) => request.socket.destroy(),
  (_, response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": "1000" }).write("{\"keys\": [")
    setTimeout(() => response.destroy(), 50)
  },
  (_, response) => void setTimeout(() => json(response, 500, {}), 4_000),
  (_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>Bad gateway</html>")
]
let requests = 0

const accepted = new Set<string>()

const serve = (request: IncomingMessage, response: ServerResponse): void => {
  request.resume()
  const number = ++requests
  if (number % 4 === 0) return faults[number / 4 % faults.length]?.(request, response)
  if (request.url?.endsWith("/jwks.json") === true) {
    json(response, 200, { keys: signers.map(jwkOf) }, {
      etag: `"${rotations}"`,
      "cache-control": "max-age=30",
      date: new Date().toUTCString()
    })
    return
  }
  if (request.url === "/token") {
    const token = `t-${++serial}`
    accepted.add(token)
    // The API forgets a token sooner than its lifetime says, so that some calls get a 401.
    setTimeout(() => accepted.delete(token), 40_000)
    json(response, 200, { access_token: token, token_type: "Bearer", expires_in: 90 })
    return
  }
  json(response, accepted.has(request.headers.authorization?.replace("Bearer ", "") ?? "") ? 200 : 401, { ok: true })
}

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
const post = (answer: Answer): void => parentPort?.postMessage(answer)

const server = createServer(serve)
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  port = typeof address === "object" && address !== null ? address.port : 0
  post({ port })
})

parentPort?.on("message", ({ count }: Order) => post({ tokens: Array.from({ length: count }, mint) }))

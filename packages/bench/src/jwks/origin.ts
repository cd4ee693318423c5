/** An HTTP server on this machine for a key set with one RSA key, and an egress that may fetch from it. */
import type { Egress } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { Effect, Layer, type Scope } from "effect"
import { generateKeyPairSync, type KeyObject, sign, verify, webcrypto } from "node:crypto"
import { createServer } from "node:http"

export const alg = "RS256"
export const kid = "bench-2026"

/** The header of every lookup. */
export const header = { alg, kid }

const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })

const message = Buffer.from("what a token says")
const signature = sign("sha256", message, privateKey)

/** Whether a returned key is the published one. */
export const isRight = (key: CryptoKey | KeyObject): Promise<boolean> =>
  "algorithm" in key
    ? webcrypto.subtle.verify("RSASSA-PKCS1-v1_5", key, signature, message)
    : Promise.resolve(verify("sha256", message, key, signature))

/** The key set document. */
export const document = JSON.stringify({
  keys: [{ ...publicKey.export({ format: "jwk" }), kid, alg, use: "sig" }]
})

export interface Origin {
  /** The origin's URL, without a trailing slash. */
  readonly domain: string
  readonly url: string
  /** Returns the number of requests so far. */
  readonly requests: () => number
}

/** Serves a document that is fresh for an hour. */
export const originOf = (served: string): Effect.Effect<Origin, never, Scope.Scope> =>
  Effect.suspend(() => {
    let requests = 0
    const server = createServer((_, response) => {
      requests++
      response.writeHead(200, { "content-type": "application/jwk-set+json", "cache-control": "max-age=3600" })
      response.end(served)
    })
    return Effect.acquireRelease(
      Effect.callback<Origin>((resume) => {
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          const domain = `http://127.0.0.1:${port}`
          resume(Effect.succeed({ domain, url: `${domain}/jwks.json`, requests: () => requests }))
        })
      }),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
  })

/** Serves the key set with the one key. */
export const makeOrigin: Effect.Effect<Origin, never, Scope.Scope> = originOf(document)

/** The production egress, except that local addresses are allowed. */
export const egress: Layer.Layer<Egress.Egress> = Layer.orDie(
  NodeEgress.layer({ allowLocalhost: true, proxy: "none" })
)

/** Checks of DPoP proofs with jose alone, and servers that demand them. */
import { Effect, type Scope } from "effect"
import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from "jose"
import { createHash } from "node:crypto"
import * as Http from "node:http"

/** What a proof states. */
export interface Proof {
  readonly jti: string
  readonly htm: unknown
  readonly htu: unknown
  readonly iat: number
  readonly ath: unknown
  readonly nonce: unknown
  readonly jkt: string
  readonly header: object
}

/** Verifies the signature of a proof with the key in its header. */
export const readProof = async (proof: string): Promise<Proof> => {
  // The time of the proof is that of the test's clock.
  const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
    typ: "dpop+jwt",
    currentDate: new Date(0)
  })
  const { ath, htm, htu, iat = Number.NaN, jti = "", nonce } = payload
  const jwk = protectedHeader.jwk ?? {}
  return { jti, htm, htu, iat, ath, nonce, jkt: await calculateJwkThumbprint(jwk), header: protectedHeader }
}

export const hashOf = (token: string): string => createHash("sha256").update(token).digest("base64url")

/** A request as received. */
export interface ProvenRequest {
  readonly authorization: string | undefined
  readonly proof: string | undefined
  readonly method: string
  readonly path: string
}

export interface ProofServer {
  readonly url: string
  readonly received: ReadonlyArray<ProvenRequest>
}

export type Respond = (request: ProvenRequest, number: number) => Promise<{
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
}>

/** A real HTTP server that responds by a function, which gets the headers of each request. */
export const proofServer = (respond: Respond): Effect.Effect<ProofServer, never, Scope.Scope> =>
  Effect.suspend(() => {
    const received: Array<ProvenRequest> = []
    const server = Http.createServer((request, response) => {
      const proof = request.headers["dpop"]
      const seen = {
        authorization: request.headers.authorization,
        proof: typeof proof === "string" ? proof : undefined,
        method: request.method ?? "",
        path: request.url ?? ""
      }
      const number = received.push(seen)
      request.resume().on("end", () => {
        void respond(seen, number).then(({ headers = {}, status }) => response.writeHead(status, headers).end())
      })
    })
    return Effect.acquireRelease(
      Effect.callback<ProofServer>((resume) => {
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, received }))
        })
      }),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
  })

/** The headers of a 401 that demands a nonce (RFC 9449, 9). */
export const nonceChallenge = (nonce: string): Readonly<Record<string, string>> => ({
  "www-authenticate": `DPoP error="use_dpop_nonce", error_description="Resource server requires nonce in DPoP proof"`,
  "dpop-nonce": nonce
})

/** Several issuers on one server at 127.0.0.1, each with a separate key, and a count of their requests. */
import { Effect, type Scope } from "effect"
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose"
import { listen } from "../tokens/listen.ts"

/** The audience of the tokens. */
export const audience = "https://api.example"

export interface Issuer {
  /** The `iss` of its tokens. */
  readonly url: string
  readonly privateKey: CryptoKey
  readonly publicKey: JWK
}

export interface Issuers {
  readonly url: string
  readonly named: (name: string) => Issuer
  /** Returns the number of requests since the last call. */
  readonly takeRequests: () => number
  /** While `true`, responds to every request with 503. */
  isDown: boolean
}

const jsonOf = (issuers: ReadonlyMap<string, Issuer>, path: string): string | undefined => {
  const [, name = "", ...rest] = path.split("/")
  const issuer = issuers.get(name)
  if (issuer === undefined) return undefined
  const { publicKey, url } = issuer
  switch (rest.join("/")) {
    case "jwks":
      return JSON.stringify({ keys: [publicKey] })
    case ".well-known/openid-configuration":
      return JSON.stringify({ issuer: url, jwks_uri: `${url}/jwks` })
    default:
      return undefined
  }
}

/** Every issuer uses the key id `1`: key ids are unique only within one issuer. */
const makeIssuer = async (url: string): Promise<Issuer> => {
  const { privateKey, publicKey } = await generateKeyPair("ES256")
  return { url, privateKey, publicKey: { ...await exportJWK(publicKey), kid: "1", alg: "ES256", use: "sig" } }
}

/** Starts a server that runs until the scope closes. */
export const makeIssuers = Effect.fnUntraced(function*(
  names: ReadonlyArray<string>
): Effect.fn.Return<Issuers, never, Scope.Scope> {
  const issuers = new Map<string, Issuer>()
  let requests = 0
  const state = { isDown: false }
  const url = yield* listen((request, response) => {
    requests++
    const json = state.isDown ? undefined : jsonOf(issuers, request.url ?? "")
    if (json === undefined) response.writeHead(state.isDown ? 503 : 404).end()
    else response.writeHead(200, { "content-type": "application/json", "cache-control": "max-age=600" }).end(json)
  })
  for (const name of names) {
    issuers.set(name, yield* Effect.promise(() => makeIssuer(`${url}/${name}`)))
  }
  return Object.assign(state, {
    url,
    named: (name: string) => {
      const issuer = issuers.get(name)
      if (issuer === undefined) throw new Error(`Unknown issuer: ${name}`)
      return issuer
    },
    takeRequests: () => {
      const taken = requests
      requests = 0
      return taken
    }
  })
})

/** Signs an access token (RFC 9068) with an issuer's key. `iss` may name another issuer. */
export const signed = (
  { privateKey, url }: Issuer,
  { iss = url, jti = crypto.randomUUID(), sub = "alice" }: { iss?: string; jti?: string; sub?: string } = {}
): Effect.Effect<string> =>
  Effect.promise(() =>
    new SignJWT({ iss, aud: audience, sub, client_id: "web", jti })
      .setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid: "1" })
      .setIssuedAt()
      .setExpirationTime("5 minutes")
      .sign(privateKey)
  )

/** The CPU time of a request with a token that is bound to a DPoP key, beside one with a bearer token. */
import { StaticKeys } from "@keelson/jwks"
import { BearerAuthentication, Claims, Principal, ProofReplays, TokenValidator, ValidationPolicy } from "@keelson/token"
import { Context, Effect, Layer, type Scope } from "effect"
import { calculateJwkThumbprint } from "jose"
import { createHash, sign, verify } from "node:crypto"
import type { Loop } from "../contestant.ts"
import type { Figures, Finding } from "../figures.ts"
import { each, mainThread, measure, processor, spread, type Stopwatch } from "../measure.ts"
import { step } from "../progress.ts"
import { audience, claimsOf, issuer, jwkOf, type Members, type Signer, signerOf, tokenOf } from "./issuer.ts"

const group = "a request with a bound token, ES256"
const baseUrl = "https://api.example"
const target = "/orders/4711?expand=lines"
/** Proofs, of which each is sent many times: the record of this benchmark forgets which were used. */
const proofs = 512
/** More keys than the checks keep. */
const manyKeys = 2048
const width = 16

class Tokens extends TokenValidator.Service<Tokens>()("bench/BoundTokens", { claims: Claims.AccessToken }) {}
class Caller extends Principal.Service<Caller, Claims.AccessToken>()("bench/BoundCaller") {}

/** The record in memory, under ids that never repeat and for a few seconds, so that a proof can be sent again. */
const forgetful = Effect.map(
  Layer.build(ProofReplays.layerMemory({ maxEntries: 10_000_000 })),
  (context): ProofReplays.ProofReplays["Service"] => {
    const { add } = Context.get(context, ProofReplays.ProofReplays)
    let calls = 0
    return { add: ({ jkt, jti }) => add({ end: Date.now() + 5000, jkt, jti: `${calls++}${jti}` }) }
  }
)

const policy = ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: ["RS256"] })

const publicJwk = (signer: Signer) => {
  const { alg: _, kid: __, use: ___, ...jwk } = jwkOf(signer)
  return jwk
}

const now = Math.floor(Date.now() / 1000)

const proofOf = (signer: Signer, token: string, index: number): string => {
  const claims: Members = {
    jti: `2f1c7f3e-0c1b-4f0e-9a52-${String(index).padStart(12, "0")}`,
    htm: "GET",
    htu: `${baseUrl}/orders/4711`,
    // Good for as long as the benchmark runs.
    iat: now + 200,
    ath: createHash("sha256").update(token).digest("base64url")
  }
  return tokenOf(signer, claims, { typ: "dpop+jwt", alg: signer.alg, jwk: publicJwk(signer) })
}

interface Sent {
  readonly request: BearerAuthentication.Request
}

/** Sends requests in turn, with a constant number at once. Throws unless every one is accepted. */
const loopOf = (
  name: string,
  { authenticate }: BearerAuthentication.BearerAuthentication<unknown>,
  requests: ReadonlyArray<Sent>
): Loop => {
  let at = 0
  return async (times) => {
    let left = times
    let accepted = 0
    const body = () => {
      const { request } = requests[at++ % requests.length]!
      return Effect.match(authenticate(request), { onFailure: () => 0, onSuccess: () => 1 })
    }
    const worker = Effect.whileLoop({ while: () => left-- > 0, body, step: (one) => void (accepted += one) })
    await Effect.runPromise(
      Effect.all(Array.from({ length: width }, () => worker), { concurrency: "unbounded", discard: true })
    )
    if (accepted !== times) throw new Error(`${name}: ${accepted} of ${times} requests were accepted`)
  }
}

/** Nothing but the signature check that a proof needs, with as many at once. */
const verifications = (signer: Signer): Loop => {
  const data = Buffer.alloc(400, "x")
  const signature = sign("sha256", data, signer.privateKey)
  const one = () =>
    new Promise<void>((resolve, reject) => {
      verify("sha256", data, signer.publicKey, signature, (error, isValid) => {
        if (error === null && isValid) resolve()
        else reject(error ?? new Error("a good signature was rejected"))
      })
    })
  return async (times) => {
    let left = times
    const worker = async () => {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      while (left-- > 0) await one()
    }
    await Promise.all(Array.from({ length: width }, worker))
  }
}

const figuresOf = (
  unit: string,
  [bearer = [], bound = [], verification = [], newKey = []]: ReadonlyArray<ReadonlyArray<number>>
) => {
  const micros = (what: string, times: ReadonlyArray<number>, aim?: Finding["aim"]): Finding => ({
    group,
    what: `${what}, ${unit}`,
    value: spread(times).median / 1000,
    unit: "µs",
    ...(aim === undefined ? {} : { aim })
  })
  const more = each(each(bound, bearer, (one, other) => one - other), verification, (all, one) => all - one)
  return [
    micros("a bearer token, cached", bearer),
    micros("a bound token, cached, and a proof by a known key", bound),
    micros("one ES256 verification alone", verification),
    micros("what a proof takes beside the verification", more, { is: "at most", value: 15 }),
    micros("a bound token, cached, and a proof by a new key", newKey)
  ]
}

const measureWith = (loops: ReadonlyArray<Loop>, stopwatch: Stopwatch) =>
  Effect.promise(() => measure(loops, { sampleMillis: 20, warmUpMillis: 400, stopwatch }))

const findings: Effect.Effect<ReadonlyArray<Finding>, unknown, Scope.Scope> = Effect.gen(function*() {
  const signer = signerOf("RS256")
  const keys = StaticKeys.layer({
    issuers: [issuer],
    keys: [{ id: signer.kid, algorithm: signer.alg, jwk: jwkOf(signer) }]
  })
  const tokens = yield* Layer.build(Layer.provide(Tokens.layer(policy), keys))
  const replays = yield* forgetful
  const api = yield* Effect.provide(
    BearerAuthentication.make({
      validator: Tokens,
      principal: Caller,
      dpop: { mode: "allowed", clockTolerance: "5 minutes", maxAge: "10 minutes" },
      baseUrls: [baseUrl],
      replays: ProofReplays.ProofReplays
    }),
    Layer.succeedContext(Context.add(tokens, ProofReplays.ProofReplays, replays))
  )
  const boundTo = (client: Signer, index: number) =>
    Effect.promise(async () =>
      tokenOf(signer, { ...claimsOf(index), cnf: { jkt: await calculateJwkThumbprint(publicJwk(client)) } })
    )
  const requestOf = (scheme: string, token: string, proof?: string): Sent => ({
    request: {
      method: "GET",
      url: target,
      rawHeaders: [
        "Host",
        "api.example",
        "Accept",
        "application/json",
        "Authorization",
        `${scheme} ${token}`,
        ...(proof === undefined ? [] : ["DPoP", proof])
      ]
    }
  })
  const client = signerOf("ES256")
  const bearer = tokenOf(signer, claimsOf(0))
  const token = yield* boundTo(client, 1)
  const known = Array.from({ length: proofs }, (_, index) => requestOf("DPoP", token, proofOf(client, token, index)))
  const unknown = yield* Effect.forEach(Array.from({ length: manyKeys }, (_, index) => index), (index) => {
    const other = signerOf("ES256")
    return Effect.map(boundTo(other, index + 2), (token) => requestOf("DPoP", token, proofOf(other, token, index)))
  })
  const loops = [
    loopOf("bearer", api, [requestOf("Bearer", bearer)]),
    loopOf("bound", api, known),
    verifications(client),
    loopOf("new keys", api, unknown)
  ]
  return [
    ...figuresOf("all threads", yield* measureWith(loops, processor)),
    ...figuresOf("main thread", yield* measureWith(loops, mainThread))
  ]
})

export const bound: Effect.Effect<Figures, unknown, Scope.Scope> = step(
  "bound: requests",
  Effect.map(findings, (found) => ({ comparisons: [], nanoseconds: [], findings: found }))
)

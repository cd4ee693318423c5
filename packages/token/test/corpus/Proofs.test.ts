import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as HttpSecurityOptions from "../../src/HttpSecurityOptions.ts"
import { Signatures, type TokenError } from "../../src/index.ts"
import { bindingRules } from "../../src/internal/dpop/bindingRules.ts"
import { makeBindings } from "../../src/internal/http/bindings.ts"
import { headOf } from "../../src/internal/http/requestHead.ts"
import { baseUrl, boundRequest, proofClaims, proofSigner, signProof } from "../proofSupport.ts"
import type { ProofCase, ProofControl } from "./proofCase.ts"
import {
  claimMutations,
  formCases,
  harmlessProofs,
  headerMutations,
  jsonCases,
  keyCases,
  now,
  signatureCases,
  token
} from "./proofs.ts"
import type { Alg } from "./signer.ts"

const groups: ReadonlyArray<readonly [title: string, cases: ReadonlyArray<ProofCase>]> = [
  ["texts that are not one signed JWT", formCases],
  ["headers and payloads that are not one plain JSON object", jsonCases],
  ["another type or algorithm, none, and public keys used as secrets", headerMutations],
  ["keys that are private, of another type, in another spelling, or of somebody else", keyCases],
  ["missing, cut, changed and foreign signatures", signatureCases],
  ["claims for another method, URL, time or token", claimMutations]
]

const algorithms = ["ES256", "RS256", "EdDSA"] as const
const engines = [["node:crypto", Signatures.layerNodeCrypto], ["WebCrypto", Signatures.layerWebCrypto]] as const

const options = HttpSecurityOptions.make({ dpop: "required", baseUrls: [baseUrl] })

/** The checks of an API, and a control proof that it accepts each time that it is made. */
const setUp = Effect.fnUntraced(function*(alg: Alg, signatures: (typeof engines)[number][1]) {
  yield* TestClock.setTime(now * 1000)
  const [signer, stranger] = [yield* proofSigner(alg), yield* proofSigner(alg, "stranger")]
  const bindings = yield* Effect.provide(makeBindings(options, undefined), signatures)
  const control = Effect.gen(function*(): Effect.fn.Return<ProofControl> {
    const claims = proofClaims(token, now * 1000)
    const header = { typ: "dpop+jwt", alg, jwk: signer.jwk }
    return { signer, stranger, header, claims, proof: yield* signProof(signer, claims) }
  })
  const check = (proof: string): Effect.Effect<TokenError.Reason | undefined> => {
    const checked = bindings.check({ jkt: signer.jkt, "x5t#S256": undefined }, {
      text: token,
      scheme: "DPoP",
      head: headOf(boundRequest(token, proof)),
      setNonce: () => {}
    })
    return Effect.isEffect(checked) ? checked : Effect.succeed(checked)
  }
  return { check, control }
})

const isFor = ({ on }: ProofCase, alg: Alg): boolean => on === undefined || on.includes(alg)

describe("The hostile corpus of DPoP proofs", () => {
  it("[K-23] is checked with the rules of an API that requires proofs", () => {
    assert.deepStrictEqual(bindingRules(options), {
      dpop: "required",
      mtls: "off",
      requireBinding: false,
      ignoresUnsupported: false
    })
  })

  for (const [title, cases] of groups) {
    for (const [alg, [engine, layer]] of algorithms.flatMap((alg) => engines.map((engine) => [alg, engine] as const))) {
      it.effect(`[K-23] [T1] [T2] rejects ${title}, with ${alg} and ${engine}`, () =>
        Effect.gen(function*() {
          const { check, control } = yield* setUp(alg, layer)
          const found: Array<unknown> = []
          // Before the first good proof the key is not known, and after it, it is.
          for (const round of ["unknown key", "known key"]) {
            for (const { mutate, name, reason } of cases.filter((one) => isFor(one, alg))) {
              const made = yield* control
              const proof = yield* Effect.promise(async () => mutate(made))
              assert.notStrictEqual(proof, made.proof, name)
              const got = yield* check(proof)
              if (JSON.stringify(got) !== JSON.stringify(reason)) found.push({ round, name, got: got ?? "accepted" })
            }
            assert.isUndefined(yield* check((yield* control).proof))
          }
          assert.deepStrictEqual(found, [])
        }))
    }
  }

  for (const alg of algorithms) {
    it.effect(`[K-23] accepts proofs just within each limit, and other spellings of the same URL, with ${alg}`, () =>
      Effect.gen(function*() {
        const { check, control } = yield* setUp(alg, Signatures.layerNodeCrypto)
        for (const [name, mutate] of Object.entries(harmlessProofs)) {
          const made = yield* control
          assert.isUndefined(yield* check(yield* Effect.promise(async () => mutate(made))), name)
        }
      }))
  }

  it("[K-23] has at least 150 mutations, which make more than 450 proofs", () => {
    const all = groups.flatMap(([, cases]) => cases)
    const proofs = algorithms.flatMap((alg) => all.filter((one) => isFor(one, alg)))
    console.log(`${all.length} mutations, ${proofs.length} hostile proofs`)
    const names = groups.flatMap(([title, cases]) => cases.map(({ name }) => `${title}: ${name}`))
    assert.deepStrictEqual(names.filter((name, at) => names.indexOf(name) !== at), [])
    assert.isAtLeast(all.length, 150)
    assert.isAtLeast(proofs.length, 450)
  })
})

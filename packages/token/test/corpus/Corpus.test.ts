import { assert, describe, it } from "@effect/vitest"
import { KeySource } from "@keelson/jwks"
import { Context, Effect, Layer } from "effect"
import { Signatures } from "../../src/index.ts"
import { algorithmCases } from "./algorithms.ts"
import type { Case } from "./case.ts"
import { claimMutations } from "./claims.ts"
import { controlOf, Corpus, issuer, keysOf, makeKeys, neighbour, policy } from "./control.ts"
import { encodingCases } from "./encodings.ts"
import { formCases } from "./forms.ts"
import { harmless } from "./harmless.ts"
import { headerMutations } from "./headers.ts"
import { jsonCases } from "./json.ts"
import { isFor, mismatches, rejected } from "./run.ts"
import { signatureCases } from "./signatures.ts"
import { type Alg, algorithms } from "./signer.ts"

type Signatures = typeof Signatures.layerNodeCrypto
const engines = [
  ["node:crypto", Signatures.layerNodeCrypto],
  ["WebCrypto", Signatures.layerWebCrypto]
] as const

let made: ReturnType<typeof makeKeys> | undefined
const keys = Effect.promise(() => made ??= makeKeys())

/** The control token of an algorithm, and the validator that accepts every control token. */
const setUp = Effect.fnUntraced(function*(alg: Alg, signatures: Signatures) {
  const all = yield* keys
  const source = KeySource.layerFirstOf(
    keysOf(issuer, Object.values(all.own)),
    keysOf(neighbour, Object.values(all.others))
  )
  const context = yield* Layer.build(Corpus.layer(policy).pipe(Layer.provide(source), Layer.provide(signatures)))
  return { control: yield* Effect.promise(() => controlOf(all, alg)), validator: Context.get(context, Corpus) }
})

const groups: ReadonlyArray<readonly [title: string, cases: ReadonlyArray<Case>]> = [
  ["[S4-36] [T1] [T2] rejects algorithms other than the key's, and public keys used as secrets", algorithmCases],
  ["[S4-36] [T1] rejects missing, truncated, swapped and forged signatures", signatureCases],
  [
    "[T2] [R3] [R4] [S4-37] rejects headers that embed a key, an extension, another type or an unknown key id",
    headerMutations
  ],
  ["[R1] [T2] rejects non-canonical encodings of the same bytes", encodingCases],
  ["[R2] rejects every form except three parts of at most 16 KiB", formCases],
  ["[R2] [K-08] rejects payloads and headers that are not one plain JSON object", jsonCases],
  ["[K-08] [R2] [R3] [T1] rejects claims with the wrong shape, time, issuer or audience", claimMutations]
]

describe("The hostile corpus", () => {
  for (const [title, cases] of groups) {
    for (const [alg, [engine, layer]] of algorithms.flatMap((alg) => engines.map((engine) => [alg, engine] as const))) {
      it.effect(`[K-29] ${title}, with ${alg} and ${engine}; errors contain nothing of the tokens [R21] [T5]`, () =>
        Effect.gen(function*() {
          const { control, validator } = yield* setUp(alg, layer)
          assert.deepStrictEqual(yield* mismatches(validator, cases, control), [])
        }))
    }
  }

  for (const alg of algorithms) {
    it.effect(`[R2] [K-08] [S4-36] accepts values just within each limit that the corpus exceeds, with ${alg}`, () =>
      Effect.gen(function*() {
        const { control, validator } = yield* setUp(alg, Signatures.layerNodeCrypto)
        assert.deepStrictEqual(yield* rejected(validator, harmless, control), [])
      }))
  }

  it("has at least 250 mutations, which make more than 2000 tokens", () => {
    const all = groups.flatMap(([, cases]) => cases)
    const tokens = algorithms.flatMap((alg) => all.filter((one) => isFor(one, { alg })))
    console.log(`${all.length} mutations, ${tokens.length} hostile tokens`)
    const names = all.map(({ name }) => name)
    assert.deepStrictEqual(names.filter((name, at) => names.indexOf(name) !== at), [])
    assert.isAtLeast(all.length, 250)
    assert.isAtLeast(tokens.length, 2000)
  })
})

/** Public keys of every form for tests: cheap, and of valid form unless stated otherwise. */
import { Effect } from "effect"
import type { ImportKey } from "../src/internal/keys/importKey.ts"

/** An RSA key with a modulus of this many bits, after this many leading zero bytes. It has no known private key. */
export const rsaOf = (
  { bits = 2048, e = "AQAB", seed = 0, zeros = 0 }: {
    readonly bits?: number
    readonly e?: string
    readonly seed?: number
    readonly zeros?: number
  }
): { readonly kty: "RSA"; readonly n: string; readonly e: string } => {
  const number = Buffer.alloc(Math.ceil(bits / 8), 0xff)
  if (number.length > 0) number[0] = 0xff >> (number.length * 8 - bits)
  if (number.length > 8) number.writeUInt32BE(seed, 2)
  return { kty: "RSA", n: Buffer.concat([Buffer.alloc(zeros), number]).toString("base64url"), e }
}

/** Told from others by its seed, as its `kid` is: `k1` is that of seed 1. */
export const okpOf = (seed: number) => ({
  kty: "OKP",
  crv: "Ed25519",
  x: Buffer.alloc(32, String(seed).padStart(8, "0")).toString("base64url"),
  alg: "Ed25519",
  kid: `k${seed}`
})

/** Coordinates of the right length that are not a point of P-256, so that the import rejects them. */
export const offCurve = (seed: number) => ({
  kty: "EC",
  crv: "P-256",
  x: Buffer.alloc(32, String(seed).padStart(8, "0")).toString("base64url"),
  y: Buffer.alloc(32).toString("base64url")
})

/** Imports without WebCrypto, since virtual time does not wait for its threads, and records the imports. */
export const recording = (): { readonly imports: ReadonlyArray<string>; readonly importKey: ImportKey } => {
  const imports: Array<string> = []
  const importKey: ImportKey = ({ kid, kty }, alg) =>
    Effect.suspend(() => {
      if (kty === "EC" && kid === undefined) return Effect.fail("not on the curve")
      imports.push(`${kid} ${alg}`)
      return Effect.succeed<CryptoKey>({
        type: "public",
        extractable: false,
        usages: ["verify"],
        algorithm: { name: alg }
      })
    })
  return { imports, importKey }
}

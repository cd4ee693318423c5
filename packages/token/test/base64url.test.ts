import { assert, describe, it } from "@effect/vitest"
import { decodeCanonical, decoderOf, makeBytes } from "../src/internal/validation/platform.ts"

const decoders = [
  ["with the platform's bytes", decoderOf(makeBytes)],
  ["as the web does", decoderOf(undefined)],
  ["as this platform does", decodeCanonical]
] as const

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

const bytesOf = (bytes: Uint8Array | undefined) => bytes === undefined ? undefined : [...bytes]

it("this platform has Buffer, so that both implementations are tested", () => {
  assert.isDefined(makeBytes)
})

for (const [name, decode] of decoders) {
  describe(`decodeCanonical, ${name}`, () => {
    it("gives the bytes of the vectors of RFC 4648, 10, without their padding", () => {
      const vectors = { "": "", Zg: "f", Zm8: "fo", Zm9v: "foo", Zm9vYg: "foob", Zm9vYmE: "fooba", Zm9vYmFy: "foobar" }
      for (const [text, plain] of Object.entries(vectors)) {
        assert.deepStrictEqual(bytesOf(decode(text)), Array.from(plain, (char) => char.charCodeAt(0)), text)
      }
    })

    it("knows the whole alphabet of RFC 4648, 5", () => {
      assert.lengthOf(decode(alphabet) ?? [], 48)
      assert.deepStrictEqual(bytesOf(decode("-_-_")), [0xFB, 0xFF, 0xBF])
    })

    it("[R1] [T2] refuses every last character whose unused bits are set", () => {
      const accepted = (start: string) => Array.from(alphabet).filter((last) => decode(start + last) !== undefined)
      assert.deepStrictEqual(accepted("Z"), ["A", "Q", "g", "w"])
      assert.deepStrictEqual(accepted("Zm"), Array.from("AEIMQUYcgkosw048"))
      assert.lengthOf(accepted("Zm9"), 64)
    })

    it("[R1] refuses padding, white space, and a single character left over", () => {
      for (
        const text of ["Zg==", "Zm8=", "Zm9v=", "Zg=", " Zg", "Zg ", "Z g", "Zg\n", "\tZg", "Zm9v\r\n", "Zm9vY", "Z"]
      ) {
        assert.isUndefined(decode(text), JSON.stringify(text))
      }
    })

    it("[R1] rejects characters outside of the base64url alphabet, wherever they are", () => {
      const others = ["+", "/", ".", "=", "*", "%", "\0", "\u007F", "\u0080", "é", "Ⅷ", "ｚ", "😀", "\uD800"]
      for (const other of others) {
        for (const text of [other, `${other}m9v`, `Zm${other}v`, `Zm9${other}`, `Zm9v${other}`]) {
          assert.isUndefined(decode(text), JSON.stringify(text))
        }
      }
    })
  })
}

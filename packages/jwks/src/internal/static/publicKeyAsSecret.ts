import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Hex from "effect/encoding/Hex"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { isKeyLike } from "./der.ts"
import { hasBoundary } from "./pem.ts"

/** How often one encoding is looked for within another. */
const maxDepth = 4

/** In characters; what is larger is judged as it is, and not decoded. */
const maxLength = 1_048_576

/** In bytes: a SubjectPublicKeyInfo of Ed25519 (RFC 8410, 4). There is no smaller key. */
const minDerSize = 44

/** One reading of a secret: its bytes, and their text without what nobody sees, and with its escapes resolved. */
interface Layer {
  readonly bytes: Uint8Array
  readonly text: string
}

const hexDigits = /\\u([0-9a-f]{4})/gi

/** Of UTF-16 the zeros are dropped like other invisible characters, which leaves ASCII. */
const layerOf = (bytes: Uint8Array): Layer => {
  const text = new TextDecoder().decode(bytes)
    .replaceAll(/\p{Default_Ignorable_Code_Point}|\p{Cf}|\ufffd|(?!\s)\p{Cc}/gu, "")
    .replaceAll(hexDigits, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 16)))
    .replaceAll(/\\[nrt]/g, "\n").replaceAll("\\", "")
  return { bytes, text: text.trim() }
}

const encoder = new TextEncoder()

/** Base64 in either alphabet, padded or not. */
const fromBase64 = (text: string): Option.Option<Uint8Array> => {
  const digits = text.replaceAll("-", "+").replaceAll("_", "/").replace(/=+$/, "")
  return Result.getSuccess(Base64.decode(digits.padEnd(Math.ceil(digits.length / 4) * 4, "=")))
}

const fromHex = (text: string): Option.Option<Uint8Array> =>
  Result.getSuccess(Hex.decode(text.replace(/^0x/i, "").replaceAll(":", "").toLowerCase()))

const fromPercent = (text: string): Option.Option<Uint8Array> =>
  /%[0-9a-f]{2}/i.test(text)
    ? Option.map(Option.liftThrowable(decodeURIComponent)(text), (decoded) => encoder.encode(decoded))
    : Option.none()

/** What a text may stand for, in each of the encodings that it is one of. */
const unarmored = (text: string): ReadonlyArray<Uint8Array> => {
  const bare = text.replaceAll(/[\s"']/g, "")
  if (bare === "" || bare.length > maxLength) return []
  return [fromBase64(bare), fromHex(bare), fromPercent(text)].flatMap(Option.toArray)
}

const readings = (bytes: Uint8Array, depth = 0): ReadonlyArray<Layer> => {
  const layer = layerOf(bytes)
  return depth < maxDepth ? [layer, ...unarmored(layer.text).flatMap((inner) => readings(inner, depth + 1))] : [layer]
}

/** A member that only a JWK or a set of them has, where an object may have one (RFC 7517, 4 and RFC 7518, 6). */
const isJwk = (text: string): boolean => /[{,]\s*"(?:kty|keys|crv|n|x|x5c)"\s*:/.test(text)

/** An OpenSSH key, after options too (RFC 4253, 6.6), and what its base64 stands for: a length and the type. */
const isOpenSsh = ({ bytes, text }: Layer): boolean =>
  /(?:ssh-|ecdsa-sha2-|sk-)[\w@.-]{1,64}\s+AAAA/.test(text) ||
  (bytes[0] === 0 && bytes[1] === 0 && bytes[2] === 0 && /^[^a-z]?(?:ssh-|ecdsa-sha2-|sk-)/.test(text))

const isKey = (layer: Layer): boolean =>
  hasBoundary(layer.text) || isJwk(layer.text) || isOpenSsh(layer) ||
  (layer.bytes.length >= minDerSize && isKeyLike(layer.bytes))

/** The sizes of points that are not compressed (SEC 1, 2.3.3). */
const curves = new Map([[65, "P-256"], [97, "P-384"], [133, "P-521"]])

/** Whether bytes are a point of a curve. Those that only look like one are random, and none. */
const isPoint = (bytes: Uint8Array): Effect.Effect<boolean> => {
  const namedCurve = curves.get(bytes.length)
  if (namedCurve === undefined || bytes[0] !== 0x04) return Effect.succeed(false)
  return Effect.promise(() =>
    crypto.subtle.importKey("raw", new Uint8Array(bytes), { name: "ECDSA", namedCurve }, true, ["verify"]).then(
      () => true,
      () => false
    )
  )
}

/**
 * Whether a secret is a public key in any form that public keys are handed around in, or that in base64, hexadecimal or
 * percent-encoding, up to four of them in each other. As a secret each would be known to everybody: that is how a token
 * signed with HS256 and the public key passes for one of RS256. `written` is the secret before it was decoded.
 *
 * @see RFC 8725, 2.1 and 3.1
 */
export const isKeyMaterial = Effect.fnUntraced(function*(written: string, bytes: Uint8Array) {
  const layers = [...readings(encoder.encode(written)), ...readings(bytes)]
  if (layers.some(isKey)) return true
  for (const layer of layers) {
    if (yield* isPoint(layer.bytes)) return true
  }
  return false
})

import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Hex from "effect/encoding/Hex"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { isKeyLike } from "../../unstable/Der.ts"
import { hasBoundary } from "./pem.ts"

/** Upper bound of nested encodings to decode. */
const maxDepth = 4

/** In characters. A longer text is checked without decoding it. */
const maxLength = 1_048_576

/** In bytes: the size of an Ed25519 SubjectPublicKeyInfo (RFC 8410, 4), which is the smallest key. */
const minDerSize = 44

/** One decoding of a secret: its bytes, and their text with invisible characters removed and escapes resolved. */
interface Layer {
  readonly bytes: Uint8Array
  readonly text: string
}

const hexDigits = /\\u([0-9a-f]{4})/gi

/** Removes the zero bytes of UTF-16 like other invisible characters, which leaves ASCII text. */
const layerOf = (bytes: Uint8Array): Layer => {
  const text = new TextDecoder().decode(bytes)
    .replaceAll(/\p{Default_Ignorable_Code_Point}|\p{Cf}|\ufffd|(?!\s)\p{Cc}/gu, "")
    .replaceAll(hexDigits, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 16)))
    .replaceAll(/\\[nrt]/g, "\n").replaceAll("\\", "")
  return { bytes, text: text.trim() }
}

const encoder = new TextEncoder()

/** Decodes base64 in either alphabet, with or without padding. */
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

/** Decodes a text in each encoding for which it is valid. */
const unarmored = (text: string): ReadonlyArray<Uint8Array> => {
  const bare = text.replaceAll(/[\s"']/g, "")
  if (bare === "" || bare.length > maxLength) return []
  return [fromBase64(bare), fromHex(bare), fromPercent(text)].flatMap(Option.toArray)
}

const readings = (bytes: Uint8Array, depth = 0): ReadonlyArray<Layer> => {
  const layer = layerOf(bytes)
  return depth < maxDepth ? [layer, ...unarmored(layer.text).flatMap((inner) => readings(inner, depth + 1))] : [layer]
}

/**
 * Whether a text contains, in the position of an object member, a member of JWKs or JWK Sets (RFC 7517, 4 and RFC
 * 7518, 6).
 */
const isJwk = (text: string): boolean => /[{,]\s*"(?:kty|keys|crv|n|x|x5c)"\s*:/.test(text)

/**
 * Whether a layer is an OpenSSH key (RFC 4253, 6.6), also after options, or its decoded base64: a length and the type.
 */
const isOpenSsh = ({ bytes, text }: Layer): boolean =>
  /(?:ssh-|ecdsa-sha2-|sk-)[\w@.-]{1,64}\s+AAAA/.test(text) ||
  (bytes[0] === 0 && bytes[1] === 0 && bytes[2] === 0 && /^[^a-z]?(?:ssh-|ecdsa-sha2-|sk-)/.test(text))

const isKey = (layer: Layer): boolean =>
  hasBoundary(layer.text) || isJwk(layer.text) || isOpenSsh(layer) ||
  (layer.bytes.length >= minDerSize && isKeyLike(layer.bytes))

/** The curves by the size in bytes of their uncompressed points (SEC 1, 2.3.3). */
const curves = new Map([[65, "P-256"], [97, "P-384"], [133, "P-521"]])

/** Whether bytes are a point on a curve. Random bytes can have the size and prefix of a point, but fail to import. */
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
 * Whether a secret is a public key in any common format, also if the key is encoded in base64, hexadecimal or
 * percent-encoding, up to four levels deep. A public key is known to everybody, so it must not be a secret: an
 * attacker could sign a token with HS256 and the public key, and the token would pass as one of RS256. `written` is
 * the secret before decoding.
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

/** Signatures that are missing, truncated, swapped, or built from invalid numbers. */
import { createHash } from "node:crypto"
import {
  type Case,
  type Reason,
  signatureBytes,
  signatureInvalid,
  signedOf,
  withClaims,
  withSignature
} from "./case.ts"
import type { Control } from "./control.ts"
import { type Alg, encode, hmacKey, signatureOf } from "./signer.ts"

type Change = (control: Control, signature: Buffer) => string | Uint8Array | Promise<string | Uint8Array>

const casesOf = (changes: Readonly<Record<string, Change>>, on?: ReadonlyArray<Alg>): ReadonlyArray<Case> =>
  Object.entries(changes).map(([name, change]) => ({
    name: `signature: ${name}`,
    mutate: async (control: Control) => withSignature(control, await change(control, signatureBytes(control))),
    reason: signatureInvalid satisfies Reason,
    ...(on === undefined ? undefined : { on })
  }))

const flipped = (bytes: Buffer, at: number, bit = 1): Buffer => {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ bit
  return copy
}

const general = casesOf({
  none: () => "",
  "one byte": () => Buffer.of(0),
  "without its last byte": (_, bytes) => bytes.subarray(0, -1),
  "without its first byte": (_, bytes) => bytes.subarray(1),
  "its first half": (_, bytes) => bytes.subarray(0, bytes.length / 2),
  "a byte more": (_, bytes) => Buffer.concat([bytes, Buffer.of(0)]),
  "a zero before it": (_, bytes) => Buffer.concat([Buffer.of(0), bytes]),
  "twice": (_, bytes) => Buffer.concat([bytes, bytes]),
  "all zeros": (_, bytes) => Buffer.alloc(bytes.length),
  "all ones": (_, bytes) => Buffer.alloc(bytes.length, 0xff),
  "backwards": (_, bytes) => Buffer.from(bytes).reverse(),
  "its first bit another": (_, bytes) => flipped(bytes, 0, 0x80),
  "a bit in the middle another": (_, bytes) => flipped(bytes, bytes.length / 2),
  "its last bit another": (_, bytes) => flipped(bytes, bytes.length - 1),
  "its text encoded once more": (_, bytes) => encode(encode(bytes)),
  "in hexadecimal": (_, bytes) => encode(bytes.toString("hex")),
  "by a key that nobody trusts": (control) => signatureOf(control.stranger, signedOf(control)),
  "by the key of another issuer": (control) => signatureOf(control.neighbour, signedOf(control)),
  "over the payload alone": (control) => signatureOf(control.signer, signedOf(control).split(".")[1] ?? ""),
  "over the header alone": (control) => signatureOf(control.signer, signedOf(control).split(".")[0] ?? ""),
  "over the text with a dot after it": (control) => signatureOf(control.signer, `${signedOf(control)}.`),
  "over the decoded text": (control) =>
    signatureOf(control.signer, signedOf(control).split(".").map((part) => Buffer.from(part, "base64url")).join(".")),
  "over nothing": (control) => signatureOf(control.signer, ""),
  "of another good token": async (control) => {
    const other = await withClaims(control, { jti: "canary-other" })
    return other.slice(other.lastIndexOf(".") + 1)
  },
  "a hash of the text": (control) => createHash("sha256").update(signedOf(control)).digest()
})

/** The same key imported for another padding or hash, since a WebCrypto key allows only one. */
const rsaWith = async ({ signer }: Control, name: string, hash: string): Promise<CryptoKey> => {
  const key = await crypto.subtle.exportKey("pkcs8", signer.privateKey)
  return crypto.subtle.importKey("pkcs8", key, { name, hash }, false, ["sign"])
}

const bytesOf = (control: Control): Buffer<ArrayBuffer> => Buffer.from(signedOf(control))

const modulus = ({ signer }: Control): Buffer => Buffer.from(signer.jwk.n ?? "", "base64url")

const rsa = casesOf({
  "by PSS": async (control) =>
    Buffer.from(
      await crypto.subtle.sign(
        { name: "RSA-PSS", saltLength: 32 },
        await rsaWith(control, "RSA-PSS", "SHA-256"),
        bytesOf(control)
      )
    ),
  "by RS512": async (control) =>
    Buffer.from(
      await crypto.subtle.sign(
        "RSASSA-PKCS1-v1_5",
        await rsaWith(control, "RSASSA-PKCS1-v1_5", "SHA-512"),
        bytesOf(control)
      )
    ),
  "the modulus": (control) => modulus(control),
  "the modulus less one": (control) => flipped(modulus(control), 255),
  "one": () => flipped(Buffer.alloc(256), 255),
  "the digest alone": (control) =>
    Buffer.concat([Buffer.alloc(224), createHash("sha256").update(bytesOf(control)).digest()]),
  "the digest padded, not encrypted": (control) =>
    Buffer.concat([
      Buffer.of(0, 1),
      Buffer.alloc(202, 0xff),
      Buffer.from("003031300d060960864801650304020105000420", "hex"),
      createHash("sha256").update(bytesOf(control)).digest()
    ])
}, ["RS256"])

/** The order of P-256 (FIPS 186-4, D.1.2.3). */
const order = Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex")
const zero = Buffer.alloc(32)
const one = flipped(zero, 31)
const halves = (bytes: Buffer): readonly [r: Buffer, s: Buffer] => [bytes.subarray(0, 32), bytes.subarray(32)]

/** A DER integer needs a leading zero byte if its highest bit is set. */
const derInteger = (bytes: Buffer): Buffer => {
  const digits = (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes
  return Buffer.concat([Buffer.of(2, digits.length), digits])
}
const der = (bytes: Buffer): Buffer => {
  const content = Buffer.concat(halves(bytes).map(derInteger))
  return Buffer.concat([Buffer.of(0x30, content.length), content])
}

const ecdsa = casesOf({
  "r zero": (_, bytes) => Buffer.concat([zero, halves(bytes)[1]]),
  "s zero": (_, bytes) => Buffer.concat([halves(bytes)[0], zero]),
  "r the order": (_, bytes) => Buffer.concat([order, halves(bytes)[1]]),
  "s the order": (_, bytes) => Buffer.concat([halves(bytes)[0], order]),
  "r and s the order": () => Buffer.concat([order, order]),
  "r and s one": () => Buffer.concat([one, one]),
  "r zero, s one": () => Buffer.concat([zero, one]),
  "r one, s zero": () => Buffer.concat([one, zero]),
  "r and s exchanged": (_, bytes) => Buffer.concat([...halves(bytes)].reverse()),
  "in DER": (_, bytes) => der(bytes),
  "in DER, cut to 64 bytes": (_, bytes) => der(bytes).subarray(0, 64),
  "zeros before r and s": (_, bytes) => Buffer.concat(halves(bytes).flatMap((half) => [Buffer.of(0), half])),
  "for P-384": (_, bytes) => Buffer.concat(halves(bytes).flatMap((half) => [Buffer.alloc(16), half])),
  "with SHA-512": async (control) =>
    Buffer.from(
      await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-512" }, control.signer.privateKey, bytesOf(control))
    )
}, ["ES256"])

/** The order of Ed25519's base point, in the order of its bytes (RFC 8032, 5.1). */
const edOrder = BigInt("0x1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed")
const littleEndian = (number: bigint): Buffer =>
  Buffer.from(number.toString(16).padStart(64, "0").slice(-64), "hex").reverse()
const numberOf = (bytes: Buffer): bigint => BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`)

const eddsa = casesOf({
  "S with the order added": (_, bytes) => {
    const [r, s] = halves(bytes)
    return Buffer.concat([r, littleEndian(numberOf(s) + edOrder)])
  },
  "S zero": (_, bytes) => Buffer.concat([halves(bytes)[0], zero]),
  "R zero": (_, bytes) => Buffer.concat([zero, halves(bytes)[1]]),
  "R the neutral point, S zero": () => Buffer.concat([littleEndian(1n), zero]),
  "S the order": (_, bytes) => Buffer.concat([halves(bytes)[0], littleEndian(edOrder)]),
  "R and S exchanged": (_, bytes) => Buffer.concat([...halves(bytes)].reverse()),
  "over the digest": (control) => signatureOf(control.signer, createHash("sha512").update(bytesOf(control)).digest())
}, ["EdDSA"])

const mac = async (secret: string | Uint8Array, signed: string, hash = "SHA-256"): Promise<Buffer> =>
  Buffer.from(await crypto.subtle.sign("HMAC", await hmacKey(secret, hash), Buffer.from(signed)))

const hmac = casesOf({
  "cut to 16 bytes": (_, bytes) => bytes.subarray(0, 16),
  "with a zero for a secret": (control) => mac(Buffer.of(0), signedOf(control)),
  "with the encoded secret": (control) => mac(encode(control.signer.secret), signedOf(control)),
  "with the secret and a line break": (control) => mac(`${control.signer.secret}\n`, signedOf(control)),
  "by HS512": (control) => mac(control.signer.secret, signedOf(control), "SHA-512"),
  "by HS512, cut to 32 bytes": async (control) =>
    (await mac(control.signer.secret, signedOf(control), "SHA-512")).subarray(0, 32),
  "a hash of secret and text": (control) =>
    createHash("sha256").update(control.signer.secret).update(signedOf(control)).digest()
}, ["HS256"])

export const signatureCases: ReadonlyArray<Case> = [...general, ...rsa, ...ecdsa, ...eddsa, ...hmac]

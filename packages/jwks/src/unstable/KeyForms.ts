/**
 * Converts keys to the two forms that WebCrypto imports: SubjectPublicKeyInfo (SPKI) and PKCS #8.
 */
import type { PublicAlgorithm } from "../Algorithm.ts"
import * as Der from "./Der.ts"

const { tags } = Der

const hexOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")

const fromHex = (hex: string): Uint8Array =>
  Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16))

/** Object identifiers, as the content of their DER element in hexadecimal. */
const oids = {
  rsaEncryption: "2a864886f70d010101",
  mgf1: "2a864886f70d010108",
  rsassaPss: "2a864886f70d01010a",
  ecPublicKey: "2a8648ce3d0201"
} as const

/** The hashes that JWS signs RSASSA-PSS with (RFC 7518, 3.5), by object identifier. */
const hashes: ReadonlyMap<string, { readonly algorithm: PssAlgorithm; readonly size: number }> = new Map([
  ["608648016503040201", { algorithm: "PS256", size: 32 }],
  ["608648016503040202", { algorithm: "PS384", size: 48 }],
  ["608648016503040203", { algorithm: "PS512", size: 64 }]
])

/** The algorithms that use RSASSA-PSS. */
export type PssAlgorithm = Extract<PublicAlgorithm, `PS${string}`>
const pssAlgorithms: ReadonlyArray<PssAlgorithm> = ["PS256", "PS384", "PS512"]

const nullElement = Uint8Array.of(0x05, 0x00)
const version = (number: number): Uint8Array => Uint8Array.of(tags.integer, 1, number)
const oid = (hex: string): Uint8Array => Der.encode(tags.oid, fromHex(hex))

/** The AlgorithmIdentifier of RSA keys (RFC 8017, A.1). */
const rsaEncryption = Der.encode(tags.sequence, oid(oids.rsaEncryption), nullElement)

/**
 * Converts an RSAPublicKey to SPKI.
 *
 * @see RFC 8017, A.1.1 and RFC 5280, 4.1
 */
export const spkiFromPkcs1 = (pkcs1: Uint8Array): Uint8Array =>
  Der.encode(tags.sequence, rsaEncryption, Der.encode(tags.bitString, Uint8Array.of(0), pkcs1))

/**
 * Converts an RSAPrivateKey to PKCS #8.
 *
 * @see RFC 8017, A.1.2 and RFC 5208, 5
 */
export const pkcs8FromPkcs1 = (pkcs1: Uint8Array): Uint8Array =>
  Der.encode(tags.sequence, version(0), rsaEncryption, Der.encode(tags.octetString, pkcs1))

/**
 * Converts an ECPrivateKey to PKCS #8. `undefined` if it does not name its curve.
 *
 * @see RFC 5915, 3 and RFC 5480, 2.1.1
 */
export const pkcs8FromSec1 = (sec1: Uint8Array): Uint8Array | undefined => {
  const parameters = Der.elementsOf(sec1)?.find(({ tag }) => tag === tags.context(0))
  if (parameters === undefined) return undefined
  const curve = sec1.subarray(parameters.start, parameters.end)
  if (curve[0] !== tags.oid) return undefined
  const algorithm = Der.encode(tags.sequence, oid(oids.ecPublicKey), curve)
  return Der.encode(tags.sequence, version(0), algorithm, Der.encode(tags.octetString, sec1))
}

/**
 * The SPKI of a certificate. `undefined` if the bytes are not a certificate.
 *
 * @see RFC 5280, 4.1
 */
export const spkiFromCertificate = (certificate: Uint8Array): Uint8Array | undefined => {
  const [signed] = Der.elementsOf(certificate) ?? []
  if (signed?.tag !== tags.sequence) return undefined
  const fields = Der.elementsIn(certificate, signed.start, signed.end) ?? []
  // The version, which only certificates of version 1 leave out, comes before serial, signature, issuer, validity, subject.
  const index = fields[0]?.tag === tags.context(0) ? 6 : 5
  const [before, spki] = [fields[index - 1], fields[index]]
  return before === undefined || spki?.tag !== tags.sequence ? undefined : certificate.subarray(before.end, spki.end)
}

/** An RSASSA-PSS key (RFC 4055) in the form of an ordinary RSA key, and the algorithms that its parameters allow. */
export interface PssKey {
  readonly der: Uint8Array
  readonly algorithms: ReadonlyArray<PssAlgorithm>
}

type Reader = (element: Der.Element | undefined) => ReadonlyArray<Der.Element>

/** The object identifier that an AlgorithmIdentifier begins with. */
const oidOf = (bytes: Uint8Array, [first]: ReadonlyArray<Der.Element>): string | undefined =>
  first?.tag === tags.oid ? hexOf(bytes.subarray(first.start, first.end)) : undefined

/**
 * The algorithms that RSASSA-PSS-params allow: one hash for the message and for the mask, and a salt that is not shorter than
 * they require. Left-out fields mean SHA-1 and 20 bytes, which JWS has no algorithm for.
 *
 * @see RFC 4055, 1.2 and 3.1
 */
const allowedBy = (
  bytes: Uint8Array,
  fields: ReadonlyArray<Der.Element>,
  read: Reader
): ReadonlyArray<PssAlgorithm> => {
  const field = (number: number) => read(fields.find(({ tag }) => tag === tags.context(number)))[0]
  const hash = oidOf(bytes, read(field(0)))
  const mask = read(field(1))
  const salt = field(2)
  const saltLength = salt === undefined ? 20 : Number.parseInt(hexOf(bytes.subarray(salt.start, salt.end)) || "0", 16)
  const found = hash === undefined ? undefined : hashes.get(hash)
  const isAllowed = found !== undefined && oidOf(bytes, mask) === oids.mgf1 && oidOf(bytes, read(mask[1])) === hash &&
    saltLength <= found.size && field(3) === undefined
  return isAllowed ? [found.algorithm] : []
}

/**
 * Reads an RSASSA-PSS key in SPKI or PKCS #8. WebCrypto imports RSA keys only if they are marked as ordinary ones
 * (`rsaEncryption`), so the result is marked so; the key itself is the same. `undefined` for any other key.
 *
 * @see RFC 4055, 1.2
 */
export const fromPss = (key: Uint8Array): PssKey | undefined => {
  const elements = Der.elementsOf(key) ?? []
  const index = elements[0]?.tag === tags.integer ? 1 : 0
  const [algorithm, material] = [elements[index], elements[index + 1]]
  if (algorithm?.tag !== tags.sequence || material === undefined) return undefined
  const read: Reader = (element) => (element && Der.elementsIn(key, element.start, element.end)) ?? []
  const [, parameters] = read(algorithm)
  if (oidOf(key, read(algorithm)) !== oids.rsassaPss) return undefined
  const body = key.subarray(algorithm.end, material.end)
  return {
    der: index === 0
      ? Der.encode(tags.sequence, rsaEncryption, body)
      : Der.encode(tags.sequence, version(0), rsaEncryption, body),
    algorithms: parameters === undefined ? pssAlgorithms : allowedBy(key, read(parameters), read)
  }
}

/** Says what an RSASSA-PSS key is for, in a message about a key that does not fit its algorithm. */
export const describePss = ({ algorithms }: PssKey): string =>
  `this is an RSASSA-PSS key (RFC 4055) ${
    algorithms.length === 0 ? "for a hash or salt that JWS has no algorithm for" : `for ${algorithms.join(", ")} only`
  }`

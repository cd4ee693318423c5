import * as KeyForms from "@keelson/jwks/unstable/KeyForms"
import * as Base64 from "effect/encoding/Base64"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { builtin } from "../validation/platform.ts"

/** Converts every form that OpenSSL knows; asks for a passphrase. */
const openssl = "convert it with `openssl pkey -in key.pem -out pkcs8.pem`"

/** OpenSSH 9.2 leaves Ed25519 keys as they are. */
const openssh =
  "convert a copy of it with `ssh-keygen -p -N \"\" -m PKCS8 -f key`; an Ed25519 key cannot be converted so, " +
  "create another one with `openssl genpkey -algorithm ed25519`"

/** Texts that are not a private key in PEM, what they are, and how to get one. */
const forms: ReadonlyArray<readonly [label: RegExp, form: string, advice: string]> = [
  [/BEGIN OPENSSH PRIVATE KEY/, "an OpenSSH key", openssh],
  [/BEGIN (?:RSA )?PUBLIC KEY/, "a public key", "give the private key that belongs to it"],
  [/BEGIN CERTIFICATE/, "a certificate", "give the private key that belongs to it"],
  [/^LS0tLS1CRUdJTi/, "a PEM in base64", "decode it, for example with `base64 -d`"],
  [/^["'][^]*BEGIN PRIVATE KEY/, "a PEM in quotes", "remove them"]
]

const adviceFor = (material: string): string | undefined => {
  const form = forms.find(([pattern]) => pattern.test(material))
  return form && `this is ${form[1]}: ${form[2]}`
}

/** One private key, with its label. Certificates and `EC PARAMETERS` beside it, and text around it, are skipped. */
const block = /-----BEGIN ((?:RSA |EC |ENCRYPTED |)PRIVATE KEY)-----([^]*?)-----END \1-----/g

/** Line breaks written as a backslash and an `n`, as in JSON or an environment variable. A PEM has no backslash. */
const unescaped = (material: string): string => material.replaceAll(/\\r(?=\\n)/g, "").replaceAll("\\n", "\n")

interface NodeKeys {
  readonly createPrivateKey: (
    input: { readonly key: string; readonly format: "pem"; readonly passphrase: string }
  ) => { readonly export: (form: { readonly type: "pkcs8"; readonly format: "der" }) => Uint8Array }
}

const isNodeKeys = (u: unknown): u is NodeKeys =>
  Predicate.hasProperty(u, "createPrivateKey") && Predicate.isFunction(u.createPrivateKey)

/** The key functions of node:crypto; `undefined` on platforms without them, such as browsers. */
export const nodeKeys: NodeKeys | undefined = ((module) => isNodeKeys(module) ? module : undefined)(
  builtin("node:crypto")
)

/** Decrypts a private key: WebCrypto has no function for it. Fails with advice. */
const decrypt = (
  key: string,
  passphrase: string | undefined,
  keys: NodeKeys | undefined
): Result.Result<Uint8Array, string> => {
  if (passphrase === undefined) {
    return Result.fail(`this is an encrypted key: give its passphrase in privateKeyPassphrase, or ${openssl}`)
  }
  if (keys === undefined) {
    return Result.fail(`this is an encrypted key, which this platform cannot decrypt: ${openssl}`)
  }
  return Result.mapError(
    Result.try(() =>
      keys.createPrivateKey({ key, format: "pem", passphrase }).export({ type: "pkcs8", format: "der" })
    ),
    () => "this is an encrypted key, and the passphrase does not decrypt it"
  )
}

const toPkcs8 = (label: string, der: Uint8Array): Uint8Array | undefined => {
  if (label === "RSA PRIVATE KEY") return KeyForms.pkcs8FromPkcs1(der)
  return label === "EC PRIVATE KEY" ? KeyForms.pkcs8FromSec1(der) : der
}

/** A private key in PKCS #8, and for an RSASSA-PSS key (RFC 4055) what its parameters allow. */
export interface PrivateKeyForm {
  readonly pem: string
  readonly pss: KeyForms.PssKey | undefined
}

/**
 * Reads a private key in PEM: PKCS #8, PKCS #1, SEC 1 or encrypted, also with line breaks that are written as `\n`. Fails with
 * what the text is instead and how to convert it, or with `undefined` if neither is known.
 *
 * @see RFC 5208, RFC 5915, RFC 7468, 10 and 11, and RFC 8017, A.1.2
 */
export const readPrivateKey = (
  material: string,
  passphrase: string | undefined,
  keys: NodeKeys | undefined
): Result.Result<PrivateKeyForm, string | undefined> => {
  const text = unescaped(material)
  const advice = adviceFor(text)
  const blocks = [...text.matchAll(block)]
  const [[pem, label, body] = []] = blocks
  if (pem === undefined || label === undefined || body === undefined || /^["']/.test(text)) return Result.fail(advice)
  if (blocks.length > 1) return Result.fail("this is more than one private key: give the one that signs")
  const isEncrypted = label === "ENCRYPTED PRIVATE KEY" || body.includes("Proc-Type: 4,ENCRYPTED")
  const pkcs8 = isEncrypted
    ? decrypt(pem, passphrase, keys)
    : Base64.decode(body.replaceAll(/\s/g, "")).pipe(
      Result.mapError(() => undefined),
      Result.flatMap((der) => Result.fromNullishOr(toPkcs8(label, der), () => undefined))
    )
  return Result.map(pkcs8, (der) => {
    const pss = KeyForms.fromPss(der)
    return { pem: `-----BEGIN PRIVATE KEY-----\n${Base64.encode(pss?.der ?? der)}\n-----END PRIVATE KEY-----`, pss }
  })
}

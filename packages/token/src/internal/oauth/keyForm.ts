/** Converts PKCS #1, SEC 1 and encrypted keys; asks for a passphrase. */
const openssl = "convert it with `openssl pkey -in key.pem -out pkcs8.pem`"

/** OpenSSH 9.2 leaves Ed25519 keys as they are. */
const openssh =
  "convert a copy of it with `ssh-keygen -p -N \"\" -m PKCS8 -f key`; an Ed25519 key cannot be converted so, " +
  "create another one with `openssl genpkey -algorithm ed25519`"

/** PEM labels of keys that are not PKCS #8, what they are, and how to get PKCS #8. */
const forms: ReadonlyArray<readonly [label: RegExp, form: string, advice: string]> = [
  [/BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type: 4,ENCRYPTED/m, "an encrypted key", openssl],
  [/BEGIN RSA PRIVATE KEY/, "PKCS #1", openssl],
  [/BEGIN EC PRIVATE KEY|BEGIN EC PARAMETERS/, "SEC 1", openssl],
  [/BEGIN OPENSSH PRIVATE KEY/, "an OpenSSH key", openssh],
  [/BEGIN (?:RSA )?PUBLIC KEY/, "a public key", "give the private key that belongs to it"],
  [/BEGIN CERTIFICATE/, "a certificate", "give the private key that belongs to it"],
  [/^LS0tLS1CRUdJTi/, "a PEM in base64", "decode it, for example with `base64 -d`"],
  [/^["'][^]*BEGIN PRIVATE KEY/, "a PEM in quotes", "remove them"]
]

/** A PEM whose line breaks were written as a backslash and an `n`, as in JSON or an environment variable. */
const isEscaped = (material: string): boolean => material.includes("-----BEGIN ") && material.includes("\\n")

/** What a text is instead of PKCS #8, and how to convert it; `undefined` if neither is known. */
export const convertible = (material: string): string | undefined => {
  const form = forms.find(([label]) => label.test(material))
  const advice = form === undefined ? [] : [`this is ${form[1]}: ${form[2]}`]
  if (isEscaped(material)) advice.unshift("its line breaks are written as \\n: replace each \\n with a line break")
  return advice.length === 0 ? undefined : advice.join("; ")
}

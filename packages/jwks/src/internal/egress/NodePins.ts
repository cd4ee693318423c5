import { createHash, X509Certificate } from "node:crypto"
import { checkServerIdentity, type DetailedPeerCertificate, type PeerCertificate } from "node:tls"
import { Refusal } from "./refusal.ts"

const isDetailed = (certificate: PeerCertificate): certificate is DetailedPeerCertificate =>
  "issuerCertificate" in certificate

/**
 * The certificates from the server's to its root. Node puts the chain together by names: one that the server sent may
 * have the name of an issuer and not its key. So each has to have signed the one before it.
 */
const chainOf = (certificate: PeerCertificate): ReadonlyArray<X509Certificate> => {
  const chain = [new X509Certificate(certificate.raw)]
  let current = certificate
  // A root is its own issuer.
  while (isDetailed(current) && current.issuerCertificate !== current) {
    const below = chain.at(-1)
    const issuer = new X509Certificate(current.issuerCertificate.raw)
    if (below === undefined || !issuer.ca || !below.checkIssued(issuer) || !below.verify(issuer.publicKey)) break
    chain.push(issuer)
    current = current.issuerCertificate
  }
  return chain
}

/** The pin of a certificate: what its public key is in DER, as SPKI, hashed. */
const pinOf = (certificate: X509Certificate): string =>
  createHash("sha256").update(certificate.publicKey.export({ type: "spki", format: "der" })).digest("base64")

/** Node's own check of the names, and then the pins. It is called only for a chain that leads to a trusted root. */
export const pinnedIdentity = (pins: ReadonlyArray<string>): typeof checkServerIdentity => (hostname, certificate) => {
  const mismatch = checkServerIdentity(hostname, certificate)
  if (mismatch !== undefined || pins.length === 0) return mismatch
  return chainOf(certificate).some((one) => pins.includes(pinOf(one))) ? undefined : new Refusal("pin")
}

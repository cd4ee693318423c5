import { createHash, X509Certificate } from "node:crypto"
import { checkServerIdentity, type DetailedPeerCertificate, type PeerCertificate } from "node:tls"
import { Refusal } from "./refusal.ts"

const isDetailed = (certificate: PeerCertificate): certificate is DetailedPeerCertificate =>
  "issuerCertificate" in certificate

/**
 * Returns the certificate chain from the server's certificate to the root.
 *
 * Node links the chain by names only: a certificate that the server sent may have an issuer's name without its key. So
 * an issuer counts only if it is a CA and its key signed the certificate before it.
 */
const chainOf = (certificate: PeerCertificate): ReadonlyArray<X509Certificate> => {
  const chain = [new X509Certificate(certificate.raw)]
  let current = certificate
  // A root certificate is its own issuer.
  while (isDetailed(current) && current.issuerCertificate !== current) {
    const below = chain.at(-1)
    const issuer = new X509Certificate(current.issuerCertificate.raw)
    if (below === undefined || !issuer.ca || !below.checkIssued(issuer) || !below.verify(issuer.publicKey)) break
    chain.push(issuer)
    current = current.issuerCertificate
  }
  return chain
}

/** The pin of a certificate: the base64 SHA-256 digest of its public key in DER-encoded SPKI form (RFC 7469, 2.4). */
const pinOf = (certificate: X509Certificate): string =>
  createHash("sha256").update(certificate.publicKey.export({ type: "spki", format: "der" })).digest("base64")

/** Checks the host name as Node does, then the pins. Node calls it only if the chain leads to a trusted root. */
export const pinnedIdentity = (pins: ReadonlyArray<string>): typeof checkServerIdentity => (hostname, certificate) => {
  const mismatch = checkServerIdentity(hostname, certificate)
  if (mismatch !== undefined || pins.length === 0) return mismatch
  return chainOf(certificate).some((one) => pins.includes(pinOf(one))) ? undefined : new Refusal("pin")
}

import { isWithin, networkOf } from "@keelson/core/unstable/Networks"
import * as Effect from "effect/Effect"
import type * as IpNetwork from "effect/net/IpNetwork"
import type { CertificateHeader } from "../../BindingOptions.ts"
import type * as TokenError from "../../TokenError.ts"
import { andThen, type Digest } from "../validation/digest.ts"
import { readCertificate } from "./certificateHeader.ts"
import { peerCertificateOf } from "./peerCertificate.ts"

/** The parts of a request that may contain a client certificate. */
export interface CertificateRequest {
  /** The request of the platform, whose socket may have a certificate. */
  readonly source: object
  /** The address from which the connection comes; `undefined` where the server does not say. */
  readonly peerAddress: string | undefined
  /** The value of a header, by its name in lower case; `,` for one that is repeated. */
  readonly header: (name: string) => string | undefined
}

/** The SHA-256 of a certificate in base64url, or why the request has none. */
export type FoundCertificate =
  | { readonly thumbprint: string }
  | Pick<Extract<TokenError.BindingReason, { _tag: "CertificateMissing" }>, "certificate">

/** Finds the client certificates of requests. */
export class Certificates {
  readonly #header: CertificateHeader | undefined
  readonly #networks: ReadonlyArray<IpNetwork.IpNetwork>
  readonly #digest: Digest
  /** By connection: all of its requests have the certificate of its handshake. */
  readonly #ofConnections = new WeakMap<object, FoundCertificate>()

  constructor(header: CertificateHeader | undefined, digest: Digest) {
    this.#header = header === undefined ? undefined : { ...header, name: header.name.toLowerCase() }
    this.#networks = (header?.proxies ?? []).flatMap((text) => networkOf(text) ?? [])
    this.#digest = digest
  }

  /**
   * The certificate of a request. A listed proxy vouches for it in the header, and without the header there is none: the
   * certificate of its connection would be the proxy's own. All others have to have it on their connection.
   */
  find(request: CertificateRequest): Effect.Effect<FoundCertificate> {
    const { peerAddress, source } = request
    const header = this.#header
    if (header !== undefined && peerAddress !== undefined && isWithin(peerAddress, this.#networks)) {
      return this.#fromHeader(request.header(header.name), header)
    }
    const peer = peerCertificateOf(source)
    if (peer === undefined) {
      const isSent = header !== undefined && request.header(header.name) !== undefined
      return Effect.succeed({ certificate: isSent ? "untrusted" : "none" })
    }
    const known = this.#ofConnections.get(peer.connection)
    return known === undefined
      ? andThen(this.#digest(peer.der), (thumbprint) => {
        const found = { thumbprint }
        this.#ofConnections.set(peer.connection, found)
        return Effect.succeed(found)
      })
      : Effect.succeed(known)
  }

  #fromHeader(value: string | undefined, header: CertificateHeader): Effect.Effect<FoundCertificate> {
    if (value === undefined || value === "") return Effect.succeed({ certificate: "none" })
    const certificate = readCertificate(value, header)
    if (certificate === undefined) return Effect.succeed({ certificate: "malformed" })
    return "thumbprint" in certificate
      ? Effect.succeed(certificate)
      : andThen(this.#digest(certificate.der), (thumbprint) => Effect.succeed({ thumbprint }))
  }
}

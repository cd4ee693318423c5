/**
 * Whether a caller proves that it has the key that its token is bound to.
 *
 * @see RFC 7800, 3.1; RFC 9449, 7; RFC 8705, 3
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { BindingOptions } from "../../BindingOptions.ts"
import type { Confirmation } from "../../Claims.ts"
import type { ProofReplays } from "../../ProofReplays.ts"
import type * as TokenError from "../../TokenError.ts"
import { bindingRules, certificateHeader, dpopOptions, makeNonces } from "../dpop/bindingRules.ts"
import { type BindingRules, certificateOf, checkConfirmation, proofKeyOf, type Scheme } from "../dpop/confirmation.ts"
import { proofRules } from "../dpop/proof.ts"
import { ProofChecker } from "../dpop/proofChecker.ts"
import { certificateMissing, otherCertificate } from "../dpop/reasons.ts"
import { replaysOf } from "../dpop/replays.ts"
import { ReplayWindow } from "../dpop/replayWindow.ts"
import { Certificates } from "../mtls/certificates.ts"
import { peerAddressOf } from "../mtls/peerCertificate.ts"
import { digestOf } from "../validation/digest.ts"
import { hashText } from "../validation/platform.ts"
import { SignatureVerifier } from "../validation/signature.ts"
import type { RequestHead } from "./requestHead.ts"
import { isRepeated } from "./requestToken.ts"

type Reason = TokenError.Reason

/** A token as a request presents it. */
export interface PresentedToken {
  readonly text: string
  readonly scheme: Scheme
  readonly head: RequestHead
  /** Called with a nonce that the client needs for its next proof. */
  readonly setNonce: (nonce: string) => void
}

/** The URL of a request, with the part of its path that a router removed. */
const targetOf = ({ originalUrl, url }: RequestHead): string => originalUrl ?? url

/** The address from which a connection comes. A socket says so itself; no header changes what it says. */
const addressOf = ({ peerAddress, source }: RequestHead): string | undefined =>
  peerAddressOf(source) ?? (peerAddress === undefined ? undefined : Option.getOrUndefined(peerAddress))

/** The header of a certificate. Two of them are as a list, which no form of a certificate is. */
const headerOf = ({ headers, source }: RequestHead) => (name: string): string | undefined =>
  isRepeated(source, name) ? "," : headers[name]

/** Checks the bindings of an API's tokens. */
export class Bindings {
  readonly rules: BindingRules
  readonly #proofs: ProofChecker | undefined
  readonly #certificates: Certificates | undefined

  constructor(rules: BindingRules, proofs: ProofChecker | undefined, certificates: Certificates | undefined) {
    this.rules = rules
    this.#proofs = proofs
    this.#certificates = certificates
  }

  /**
   * Returns the reason to reject a request with a valid token, at once for a token that is not bound. This is done for every
   * request, also where the validator has the token in its cache.
   */
  check(cnf: Confirmation | undefined, token: PresentedToken): Reason | Effect.Effect<Reason | undefined> | undefined {
    const reason = checkConfirmation(cnf, token.scheme, this.rules)
    if (reason !== undefined) return reason
    const certificate = certificateOf(cnf, this.rules)
    const jkt = proofKeyOf(cnf, this.rules)
    const proof = jkt === undefined ? undefined : this.#checkProof(token, jkt)
    if (certificate === undefined) return proof
    const ofCertificate = this.#checkCertificate(token, certificate)
    return proof === undefined ? ofCertificate : Effect.flatMap(
      ofCertificate,
      (reason) => reason === undefined ? proof : Effect.succeed(reason)
    )
  }

  #checkProof({ head, setNonce, text }: PresentedToken, jkt: string) {
    return this.#proofs?.check({
      method: head.method,
      target: targetOf(head),
      proof: head.headers["dpop"],
      isRepeated: isRepeated(head.source, "dpop"),
      token: text,
      jkt,
      setNonce
    })
  }
  #checkCertificate({ head }: PresentedToken, expected: string): Effect.Effect<Reason | undefined> {
    return this.#certificates === undefined
      ? Effect.succeed(certificateMissing.none)
      : checkCertificate(this.#certificates, head, expected)
  }
}

/** Whether a request has the client certificate with a thumbprint. */
const checkCertificate = (
  certificates: Certificates,
  head: RequestHead,
  expected: string
): Effect.Effect<Reason | undefined> =>
  Effect.map(
    certificates.find({ source: head.source, peerAddress: addressOf(head), header: headerOf(head) }),
    (found) => {
      if ("certificate" in found) return certificateMissing[found.certificate]
      return found.thumbprint === expected ? undefined : otherCertificate
    }
  )

/** The bound of a record that is not given: that of `ProofReplays.layerMemory`. */
const defaultEntries = 200_000

/** Makes the checks of an API. A part that is off is not made. */
export const makeBindings = Effect.fnUntraced(function*(
  options: BindingOptions,
  replays: ProofReplays["Service"] | undefined
): Effect.fn.Return<Bindings> {
  const rules = bindingRules(options)
  const digest = digestOf(hashText)
  const dpop = dpopOptions(options)
  const proofs = rules.dpop === "off" ? undefined : new ProofChecker({
    rules: proofRules(dpop, options.baseUrls),
    replays: replays ?? replaysOf(new ReplayWindow(defaultEntries)),
    nonces: yield* makeNonces(dpop),
    verifySignature: yield* SignatureVerifier,
    digest
  })
  const certificates = rules.mtls === "off" ? undefined : new Certificates(certificateHeader(options), digest)
  return new Bindings(rules, proofs, certificates)
})

import { type PublicAlgorithm, publicAlgorithms } from "@keelson/jwks/Algorithm"

/** The algorithms that a client's key may sign with. `EdDSA` is left out: it is the older name of `Ed25519` (RFC 9864). */
export const signingAlgorithms = publicAlgorithms.filter((name): name is Exclude<PublicAlgorithm, "EdDSA"> =>
  name !== "EdDSA"
)

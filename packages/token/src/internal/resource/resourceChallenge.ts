import * as AuthChallenge from "../../AuthChallenge.ts"
import { scopeToken } from "../http/scopes.ts"

/** What the challenge of a protected resource asks for. */
export interface ResourceChallenge {
  /** The scopes that the request needs. Empty if the challenge names none. */
  readonly scopes: ReadonlyArray<string>
  /** The URL of the metadata, as written. */
  readonly resourceMetadata: string | undefined
}

/** Upper bound of the scopes that a challenge may ask for. */
export const maxScopes = 64

/** The scopes in a text, each once; none if the text has anything that is not a scope, or too many. */
export const scopesIn = (text: string | undefined): ReadonlyArray<string> => {
  const scopes = [...new Set((text ?? "").split(" ").filter((scope) => scope !== ""))]
  return scopes.length <= maxScopes && scopes.every((scope) => scopeToken.test(scope)) ? scopes : []
}

/**
 * The challenge of a header for the scheme `Bearer`, or else for `DPoP`, which is the only one where tokens have to be bound. It must be
 * the only one of its scheme: with two it is unclear which one applies.
 */
export const resourceChallenge = (header: string | undefined): ResourceChallenge | undefined => {
  const challenges = (header === undefined ? undefined : AuthChallenge.parse(header)) ?? []
  const ofScheme = (name: string) => challenges.filter(({ scheme }) => scheme === name)
  const ofBearer = ofScheme("bearer")
  const [challenge, second] = ofBearer.length === 0 ? ofScheme("dpop") : ofBearer
  return challenge === undefined || second !== undefined
    ? undefined
    : {
      scopes: scopesIn(challenge.parameters.get("scope")),
      resourceMetadata: challenge.parameters.get("resource_metadata")
    }
}

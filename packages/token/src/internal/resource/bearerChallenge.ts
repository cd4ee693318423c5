import * as AuthChallenge from "../../AuthChallenge.ts"
import { scopeToken } from "../http/scopes.ts"

/** What the challenge of a protected resource asks for. */
export interface BearerChallenge {
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

/** The challenge of a header with a scheme, if it has exactly one: with two it is unclear which one applies. */
const challengeOf = (header: string | undefined, schemes: ReadonlyArray<string>): BearerChallenge | undefined => {
  const challenges = (header === undefined ? undefined : AuthChallenge.parse(header)) ?? []
  const first = schemes.find((name) => challenges.some(({ scheme }) => scheme === name))
  const [challenge, second] = challenges.filter(({ scheme }) => scheme === first)
  return challenge === undefined || second !== undefined
    ? undefined
    : {
      scopes: scopesIn(challenge.parameters.get("scope")),
      resourceMetadata: challenge.parameters.get("resource_metadata")
    }
}

/** The bearer challenge of a header. */
export const bearerChallenge = (header: string | undefined) => challengeOf(header, ["bearer"])

/** The bearer challenge of a header; where it has none, as of an API for bound tokens alone, that for DPoP (RFC 9449, 7.1). */
export const tokenChallenge = (header: string | undefined) => challengeOf(header, ["bearer", "dpop"])

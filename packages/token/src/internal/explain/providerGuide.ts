import type { ValidationPolicy } from "../../ValidationPolicy.ts"
import { expandIssuer } from "../validation/issuers.ts"

/** The sections of the guide to identity providers, by the issuers that they are about: the first that fits. */
const sections: ReadonlyArray<readonly [issuer: RegExp, section: string]> = [
  [/^https:\/\/[^/]+\.auth0\.com\//, "auth0"],
  [/^https:\/\/[^/]+\.b2clogin\.com\//, "azure-ad-b2c"],
  [/^https:\/\/(?:login\.microsoftonline\.(?:com|us)|sts\.windows\.net|[^/]+\.ciamlogin\.com)\//, "microsoft-entra-id"],
  [/^https?:\/\/[^/]+\/adfs(?:\/|$)/, "active-directory-federation-services"],
  [/^https?:\/\/[^/]+(?:\/[^/]+)?\/oauth2(?:\/realms\/|$)/, "pingam-and-forgerock"],
  [/^https?:\/\/[^/]+(?:\/auth)?\/realms\//, "keycloak"],
  [/^https:\/\/[^/]+\.okta(?:preview|-emea)?\.com(?:\/|$)/, "okta"],
  [/^(?:https:\/\/)?accounts\.google\.com$/, "google"],
  [/^https:\/\/cloud\.google\.com\/iap$/, "google-cloud-iap"],
  [/^https:\/\/securetoken\.google\.com\//, "firebase-authentication"],
  [/^https:\/\/cognito-idp\.[^/]+\.amazonaws\.com\//, "amazon-cognito"],
  [/^https:\/\/(?:clerk\.[^/]+|[^/]+\.clerk\.accounts\.dev)$/, "clerk"],
  [/^https:\/\/(?:api\.workos\.com|[^/]+\.authkit\.app)(?:\/|$)/, "workos"],
  [/^https:\/\/[^/]+\.supabase\.co\//, "supabase"],
  [/^https:\/\/appleid\.apple\.com$/, "apple"],
  [/^https:\/\/access\.line\.me$/, "line"],
  [/^https:\/\/[^/]+\.zitadel\.(?:cloud|example)$/, "zitadel"],
  [/^https:\/\/[^/]+\.projects\.oryapis\.com$/, "ory"],
  [/^https:\/\/[^/]+\.cloudflareaccess\.com$/, "cloudflare-access"],
  [/^https:\/\/token\.actions\.githubusercontent\.com(?:\/|$)/, "github-actions"],
  [/^https:\/\/gitlab\.com$/, "gitlab-ci"],
  [/^spiffe:\/\//, "spiffe"],
  [/^https:\/\/(?:kubernetes\.default\.svc|oidc\.eks\.|container\.googleapis\.com\/)/, "kubernetes-service-accounts"]
]

const page = "https://keelson.dev/docs/guides/identity-providers"

/** The section of the guide about the provider of a policy; `undefined` where no issuer of the policy is known. */
export const providerGuide = ({ issuers }: ValidationPolicy): string | undefined => {
  for (const issuer of issuers) {
    const [name = ""] = expandIssuer(issuer)
    const found = sections.find(([pattern]) => pattern.test(name))
    if (found !== undefined) return `${page}#${found[1]}`
  }
  return undefined
}

import type { IssuerTemplate } from "../../ValidationPolicy.ts"

/** The text that stands for the tenant in an issuer template. */
export const placeholder = "{tenantid}"

/** The values of `iss` that one of a policy's issuers accepts. */
export const expandIssuer = (issuer: string | IssuerTemplate): ReadonlyArray<string> =>
  typeof issuer === "string"
    ? [issuer]
    : issuer.tenants.map((tenant) => issuer.template.replace(placeholder, () => tenant))

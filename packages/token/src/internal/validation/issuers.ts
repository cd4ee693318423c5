import type { IssuerTemplate } from "../../ValidationPolicy.ts"

/** The text that stands for the tenant in an issuer template. */
export const placeholder = "{tenantid}"

/** The values of `iss` that one of a policy's issuers accepts; none for a template whose tenants are a function. */
export const expandIssuer = (issuer: string | IssuerTemplate): ReadonlyArray<string> => {
  if (typeof issuer === "string") return [issuer]
  const { template, tenants } = issuer
  return typeof tenants === "function" ? [] : tenants.map((tenant) => template.replace(placeholder, () => tenant))
}

/** The value of `iss` to the template that accepts it. */
export type FindTemplate = (issuer: string) => string | undefined

/** Makes a function that finds the template of an issuer whose tenants are a function. */
export const templateFinder = (issuers: ReadonlyArray<string | IssuerTemplate>): FindTemplate => {
  const open = issuers.flatMap((issuer) => {
    if (typeof issuer === "string" || typeof issuer.tenants !== "function") return []
    const [before = "", after = ""] = issuer.template.split(placeholder)
    return [{ template: issuer.template, before, after, trusts: issuer.tenants }]
  })
  return (issuer) =>
    open.find(({ after, before, trusts }) => {
      if (!issuer.startsWith(before) || !issuer.endsWith(after)) return false
      const tenant = issuer.slice(before.length, issuer.length - after.length)
      return before.length + tenant.length + after.length === issuer.length && isTenant.test(tenant) && trusts(tenant)
    })?.template
}

/** A tenant in an issuer, which is one segment of its path or one label of its host. */
const isTenant = /^[^/?#\\\s\p{Cc}]{1,256}$/u

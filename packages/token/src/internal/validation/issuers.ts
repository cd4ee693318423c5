import type { IssuerTemplate } from "../../ValidationPolicy.ts"

/** The text that stands for the tenant in an issuer template. Microsoft writes it in more than one case. */
export const placeholder = "{tenantid}"
const anyPlaceholder = /\{tenantid\}/gi

/** The parts of a template around its placeholder; `undefined` for a text without or with more than one. */
const partsOf = (template: string): readonly [before: string, after: string] | undefined => {
  const [before, after, ...more] = template.split(anyPlaceholder)
  return before === undefined || after === undefined || more.length > 0 ? undefined : [before, after]
}

/** Whether a text is an issuer template. */
export const isTemplate = (text: string): boolean => partsOf(text) !== undefined

/** The values of `iss` that one of a policy's issuers accepts; none for a template whose tenants are a function. */
export const expandIssuer = (issuer: string | IssuerTemplate): ReadonlyArray<string> => {
  if (typeof issuer === "string") return [issuer]
  const { template, tenants } = issuer
  return typeof tenants === "function" ? [] : tenants.map((tenant) => template.replace(anyPlaceholder, () => tenant))
}

/** The SPIFFE ID of a trust domain, which names its keys in a key source, and is the issuer of a JWT-SVID that states none. */
export const trustDomainId = (trustDomain: string): string => `spiffe://${trustDomain}`

/** Upper bound of the characters of a SPIFFE ID (SPIFFE ID, 2.3). */
const maxSpiffeIdLength = 2048

/** The path of a workload: segments that are neither empty nor relative (SPIFFE ID, 2.2). */
const workloadPath = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/

/** Whether a text is the SPIFFE ID of a workload in a trust domain. A percent-encoded, relative or empty path is not one. */
export const isWorkloadId = (text: string, trustDomain: string): boolean => {
  const domain = trustDomainId(trustDomain)
  return text.length <= maxSpiffeIdLength && text.startsWith(`${domain}/`) &&
    workloadPath.test(text.slice(domain.length))
}

/** The value of `iss` to the template that accepts it. */
export type FindTemplate = (issuer: string) => string | undefined

/** Makes a function that finds the template of an issuer whose tenants are a function. */
export const templateFinder = (issuers: ReadonlyArray<string | IssuerTemplate>): FindTemplate => {
  const open = issuers.flatMap((issuer) => {
    if (typeof issuer === "string" || typeof issuer.tenants !== "function") return []
    const [before = "", after = ""] = partsOf(issuer.template) ?? []
    // Without types, it may return anything. Only `true` trusts: a promise would trust every tenant.
    const trusts: (tenant: string) => unknown = issuer.tenants
    return [{ template: issuer.template, before, after, trusts }]
  })
  return (issuer) =>
    open.find(({ after, before, trusts }) => {
      if (!issuer.startsWith(before) || !issuer.endsWith(after)) return false
      const tenant = issuer.slice(before.length, issuer.length - after.length)
      return before.length + tenant.length + after.length === issuer.length && isTenant.test(tenant) &&
        trusts(tenant) === true
    })?.template
}

/** A tenant in an issuer, which is one segment of its path or one label of its host. */
const isTenant = /^[^/?#\\\s\p{Cc}]{1,256}$/u

/** The tenant in an issuer, where the template has its placeholder as one whole segment of the path. */
const tenantOf = (template: string, issuer: string): string | undefined => {
  const [before, after] = partsOf(template) ?? []
  if (before === undefined || after === undefined || !/^https?:\/\/[^/]+\/(?:.*\/)?$/.test(before)) return undefined
  if ((after !== "" && !after.startsWith("/")) || !issuer.startsWith(before) || !issuer.endsWith(after)) {
    return undefined
  }
  const tenant = issuer.slice(before.length, issuer.length - after.length)
  return /^[A-Za-z0-9.-]+$/.test(tenant) ? tenant : undefined
}

/** The trusted issuer of a token: `iss`, its name in the key source, and the tenant that the token states. */
export interface TokenIssuer {
  readonly iss: string
  readonly keysOf: string
  readonly tid: unknown
}

/**
 * Whether a key that states its issuer is one of the token's issuer: it states the issuer itself, the template that the
 * issuer comes from, or a template of which the issuer is the instance for the token's tenant.
 *
 * @see https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-issuer
 */
export const isKeyOf = (keyIssuer: string, { iss, keysOf, tid }: TokenIssuer): boolean => {
  if (keyIssuer === iss || keyIssuer === keysOf) return true
  if (keyIssuer.replace(anyPlaceholder, placeholder) === keysOf.replace(anyPlaceholder, placeholder)) return true
  const tenant = tenantOf(keyIssuer, iss)
  return tenant !== undefined && (tid === undefined || tid === tenant)
}

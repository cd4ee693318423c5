import type { Names } from "../../JwksOptions.ts"

/** The registered providers, by tenant and provider and by tenant and issuer. */
export interface Roster<A extends { readonly issuer: string }> {
  readonly get: (id: Names) => A | undefined
  /** Returns the entries of an issuer in the order of registration; a replaced one keeps its place. */
  readonly ofIssuer: (tenantId: string, issuer: string) => ReadonlyArray<A>
  /** Adds or replaces an entry. A replaced one has the same issuer. */
  readonly set: (id: Names, entry: A) => void
  readonly remove: (id: Names) => void
  /** The number of a tenant's entries. */
  readonly size: (tenantId: string) => number
  readonly wasRemoved: (id: Names) => boolean
  readonly entries: (tenantId?: string) => ReadonlyArray<readonly [id: Names, entry: A]>
}

/** How many removed ids are remembered. */
const removedCapacity = 1000

/** Joins the ids to one key. Valid ids contain no `:`. */
export const keyOf = ({ providerId, tenantId }: Names): string => `${tenantId}:${providerId}`

interface Tenant<A> {
  readonly providers: Map<string, A>
  /** The providers of each issuer. A list is replaced when one of them changes. */
  readonly issuers: Map<string, ReadonlyArray<A>>
}

/** Makes an empty roster. */
export const makeRoster = <A extends { readonly issuer: string }>(): Roster<A> => {
  const tenants = new Map<string, Tenant<A>>()
  const removed = new Set<string>()
  const none: ReadonlyArray<A> = []

  const tenantOf = (tenantId: string): Tenant<A> => {
    const tenant = tenants.get(tenantId) ?? { providers: new Map(), issuers: new Map() }
    tenants.set(tenantId, tenant)
    return tenant
  }
  const forget = ({ providerId, tenantId }: Names): void => {
    const tenant = tenants.get(tenantId)
    const entry = tenant?.providers.get(providerId)
    if (tenant === undefined || entry === undefined) return
    tenant.providers.delete(providerId)
    if (tenant.providers.size === 0) tenants.delete(tenantId)
    const left = (tenant.issuers.get(entry.issuer) ?? []).filter((one) => one !== entry)
    if (left.length === 0) tenant.issuers.delete(entry.issuer)
    else tenant.issuers.set(entry.issuer, left)
  }
  return {
    get: ({ providerId, tenantId }) => tenants.get(tenantId)?.providers.get(providerId),
    ofIssuer: (tenantId, issuer) => tenants.get(tenantId)?.issuers.get(issuer) ?? none,
    set: ({ providerId, tenantId }, entry) => {
      const { issuers, providers } = tenantOf(tenantId)
      const old = providers.get(providerId)
      const same = issuers.get(entry.issuer) ?? none
      providers.set(providerId, entry)
      issuers.set(
        entry.issuer,
        old !== undefined && same.includes(old) ? same.map((one) => one === old ? entry : one) : [...same, entry]
      )
      removed.delete(keyOf({ tenantId, providerId }))
    },
    remove: (id) => {
      forget(id)
      removed.add(keyOf(id))
      for (const oldest of removed) {
        if (removed.size <= removedCapacity) break
        removed.delete(oldest)
      }
    },
    size: (tenantId) => tenants.get(tenantId)?.providers.size ?? 0,
    wasRemoved: (id) => removed.has(keyOf(id)),
    entries: (tenantId) =>
      [...tenants].flatMap(([tenant, { providers }]) =>
        tenantId === undefined || tenant === tenantId
          ? [...providers].map(([providerId, entry]) => [{ tenantId: tenant, providerId }, entry] as const)
          : []
      )
  }
}

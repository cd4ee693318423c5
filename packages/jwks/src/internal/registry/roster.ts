/** Who is registered: by tenant and provider, and by tenant and issuer. */
export interface Roster<A extends { readonly issuer: string }> {
  readonly get: (tenantId: string, providerId: string) => A | undefined
  /** The entries of an issuer, in the order in which they came; one that is replaced keeps its place. */
  readonly ofIssuer: (tenantId: string, issuer: string) => ReadonlyArray<A>
  /** Adds or replaces an entry. A replaced one has the same issuer. */
  readonly set: (tenantId: string, providerId: string, entry: A) => void
  readonly remove: (tenantId: string, providerId: string) => void
  readonly wasRemoved: (tenantId: string, providerId: string) => boolean
  readonly entries: (tenantId?: string) => ReadonlyArray<readonly [tenantId: string, providerId: string, entry: A]>
}

/** How many of those that were removed are remembered. */
const removedCapacity = 1000

const key = (tenantId: string, providerId: string): string => `${tenantId}:${providerId}`

interface Tenant<A> {
  readonly providers: Map<string, A>
  /** The providers of each issuer, as a list that is made anew when one of them changes: lookups read it. */
  readonly issuers: Map<string, { readonly providers: Map<string, A>; list: ReadonlyArray<A> }>
}

/** An empty roster. Ids have no `:`, which is checked before. */
export const makeRoster = <A extends { readonly issuer: string }>(): Roster<A> => {
  const tenants = new Map<string, Tenant<A>>()
  const removed = new Set<string>()
  const none: ReadonlyArray<A> = []

  const tenantOf = (tenantId: string): Tenant<A> => {
    const tenant = tenants.get(tenantId) ?? { providers: new Map(), issuers: new Map() }
    tenants.set(tenantId, tenant)
    return tenant
  }
  const forget = (tenantId: string, providerId: string): void => {
    const tenant = tenants.get(tenantId)
    const entry = tenant?.providers.get(providerId)
    if (tenant === undefined || entry === undefined) return
    tenant.providers.delete(providerId)
    if (tenant.providers.size === 0) tenants.delete(tenantId)
    const same = tenant.issuers.get(entry.issuer)
    same?.providers.delete(providerId)
    if (same === undefined || same.providers.size === 0) tenant.issuers.delete(entry.issuer)
    else same.list = [...same.providers.values()]
  }
  return {
    get: (tenantId, providerId) => tenants.get(tenantId)?.providers.get(providerId),
    ofIssuer: (tenantId, issuer) => tenants.get(tenantId)?.issuers.get(issuer)?.list ?? none,
    set: (tenantId, providerId, entry) => {
      const { issuers, providers } = tenantOf(tenantId)
      providers.set(providerId, entry)
      const same = issuers.get(entry.issuer) ?? { providers: new Map<string, A>(), list: none }
      issuers.set(entry.issuer, same)
      same.providers.set(providerId, entry)
      same.list = [...same.providers.values()]
      removed.delete(key(tenantId, providerId))
    },
    remove: (tenantId, providerId) => {
      forget(tenantId, providerId)
      removed.add(key(tenantId, providerId))
      for (const oldest of removed) {
        if (removed.size <= removedCapacity) break
        removed.delete(oldest)
      }
    },
    wasRemoved: (tenantId, providerId) => removed.has(key(tenantId, providerId)),
    entries: (tenantId) =>
      [...tenants].flatMap(([tenant, { providers }]) =>
        tenantId === undefined || tenant === tenantId
          ? [...providers].map(([providerId, entry]) => [tenant, providerId, entry] as const)
          : []
      )
  }
}

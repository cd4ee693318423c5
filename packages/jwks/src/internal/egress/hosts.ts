import * as Host from "@keelson/core/unstable/Host"

/** Equal, or below it at a dot. Both are canonical. */
const isWithin = (host: string, allowed: string): boolean => host === allowed || host.endsWith(`.${allowed}`)

/** Whether a canonical host is on the list; an empty list has them all, and an entry that is no host has none. */
export const isListed = (host: string, list: ReadonlyArray<string>): boolean =>
  list.length === 0 || list.some((entry) => {
    const allowed = Host.canonical(entry)
    return allowed !== undefined && isWithin(host, allowed)
  })

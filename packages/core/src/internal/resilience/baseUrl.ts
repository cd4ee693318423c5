/**
 * Puts the base URL of an endpoint in place of the one of a request. Path and query stay.
 */

/** The base URL of an endpoint. */
export interface BaseUrl {
  readonly origin: string
  /** Without the slash at its end; empty for a URL without a path. */
  readonly path: string
}

/** Parses a base URL: http or https, without user, query and fragment. `undefined` for any other text. */
export const parseBaseUrl = (text: string): BaseUrl | undefined => {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) return undefined
  // `?` or `#` alone leaves no trace in the parsed URL.
  if (url.username !== "" || url.password !== "" || /[?#]/.test(text)) return undefined
  return { origin: url.origin, path: url.pathname.replace(/\/+$/, "") }
}

/** The part of a URL below a base; `undefined` if the URL is not below it. */
const below = (url: URL, { origin, path }: BaseUrl): string | undefined =>
  url.origin === origin && url.username === "" && url.password === "" &&
    (url.pathname === path || url.pathname.startsWith(`${path}/`))
    ? url.pathname.slice(path.length) + url.search + url.hash
    : undefined

/** The part of a URL below the first base that it is below. */
const partBelow = (url: URL, bases: ReadonlyArray<BaseUrl>): string | undefined => {
  for (const base of bases) {
    const part = below(url, base)
    if (part !== undefined) return part
  }
  return undefined
}

/** Bases in the order in which `rebase` takes them: the longest path first, since one base may be below another. */
export const inOrder = (bases: ReadonlyArray<BaseUrl>): ReadonlyArray<BaseUrl> =>
  bases.toSorted((one, other) => other.path.length - one.path.length)

/**
 * The URL of a request at another base. A relative URL is below every base. An absolute one must be below one of `bases`;
 * else `undefined`, since what it carries is meant for another origin. So is one that leaves its base, as by `..`.
 */
export const rebase = (url: string, to: BaseUrl, bases: ReadonlyArray<BaseUrl>): string | undefined => {
  const absolute = URL.parse(url)
  const rest = absolute === null
    ? url
    : partBelow(absolute, bases)
  if (rest === undefined) return undefined
  const moved = `${to.origin}${to.path}${rest === "" || /^[/?#]/.test(rest) ? "" : "/"}${rest}`
  const parsed = URL.parse(moved)
  return parsed === null || below(parsed, to) === undefined ? undefined : moved
}

/**
 * Searches a chain of errors: an error, its cause, the cause of that cause, and so on.
 */

/** How many errors below the first are read. A chain may be a cycle. */
const maxDepth = 8

/**
 * The first result that `read` gives for an error or an error below it, outermost first; `undefined` if there is none.
 *
 * `links` are the members that contain the next error: `cause`, or `reason` as in Effect's `HttpClientError`. The whole chain
 * below the first link is searched before the second link.
 */
export const findFirst = <A>(
  error: unknown,
  links: ReadonlyArray<"cause" | "reason">,
  read: (error: object) => A | undefined,
  depth = maxDepth
): A | undefined => {
  if (typeof error !== "object" || error === null) return undefined
  const result = read(error)
  if (result !== undefined || depth === 0) return result
  for (const link of links) {
    const below = findFirst(Reflect.get(error, link), links, read, depth - 1)
    if (below !== undefined) return below
  }
  return undefined
}

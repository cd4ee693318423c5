/** The place of protected resource metadata at an origin (RFC 9728, 3). */
const wellKnownPath = "/.well-known/oauth-protected-resource"

/**
 * The paths of a resource's metadata: with the path of the resource inserted, and without (RFC 9728, 3.1). Both are the same for a
 * resource without a path.
 */
export const metadataPaths = (resource: URL): readonly [own: string, root: string] => [
  `${wellKnownPath}${resource.pathname === "/" ? "" : resource.pathname}${resource.search}`,
  wellKnownPath
]

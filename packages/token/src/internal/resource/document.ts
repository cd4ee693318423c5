import type { ResourceOptions } from "../../ProtectedResource.ts"

/** A JSON value of the metadata. */
export type Document = Readonly<Record<string, unknown>>

/** The metadata of a protected resource: RFC 9728, 2. Members without a value are left out. */
export const documentOf = (options: ResourceOptions): Document =>
  Object.fromEntries(
    Object.entries({
      resource: options.resource,
      authorization_servers: options.authorizationServers,
      scopes_supported: options.scopes.length === 0 ? undefined : options.scopes,
      // The header is the only method that this library recommends; RFC 6750, 2.1.
      bearer_methods_supported: ["header"],
      resource_name: options.name,
      resource_documentation: options.documentation,
      resource_policy_uri: options.policy,
      resource_tos_uri: options.terms,
      dpop_signing_alg_values_supported: options.dpopAlgorithms.length === 0 ? undefined : options.dpopAlgorithms,
      dpop_bound_access_tokens_required: options.dpopRequired ? true : undefined,
      tls_client_certificate_bound_access_tokens: options.certificateBound ? true : undefined
    }).filter(([, value]) => value !== undefined)
  )

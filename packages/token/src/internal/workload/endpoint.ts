import * as Host from "@keelson/core/unstable/Host"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"

/**
 * The hosts of metadata endpoints, which have no TLS: AWS (EC2, ECS, EKS Pod Identity), Azure, Google Cloud.
 *
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
 * @see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
 * @see https://cloud.google.com/compute/docs/metadata/querying-metadata
 */
const metadataHosts: ReadonlySet<string> = new Set([
  "169.254.169.254",
  "[fd00:ec2::254]",
  "169.254.170.2",
  "169.254.170.23",
  "[fd00:ec2::23]",
  "metadata.google.internal",
  "[fd20:ce::254]"
])

/** The addresses of App Service, which names a different one in each instance. */
const linkLocal = IpNetwork.fromStringUnsafe("169.254.0.0/16")

/** What `checkEndpoint` allows besides https. */
export type Reach = "metadata" | "linkLocal"

const isWithin = (host: string, reach: Reach): boolean => {
  if (Host.isLocal(host) || metadataHosts.has(host)) return true
  const address = Host.literal(host)
  return reach === "linkLocal" && address !== undefined && NetAddress.isIpv4Address(address) &&
    IpNetwork.contains(linkLocal, address)
}

/** What the URL of an endpoint must be, for errors. */
export const expectedEndpoint = "an https URL, or an http URL of a documented metadata address or of this machine"

/** The URL of an endpoint; `undefined` if it may not be requested. Plain http is for `reach` and this machine only. */
export const checkEndpoint = (text: string, reach: Reach = "metadata"): URL | undefined => {
  const host = Host.withoutDot(URL.parse(text)?.hostname ?? "")
  if (host === undefined || SafeUrl.hasFragment(text)) return undefined
  return Result.getOrUndefined(SafeUrl.check(text, isWithin(host, reach) ? { insecureHosts: [host] } : {}))
}

/** Whether a request to a checked URL goes to a metadata endpoint, and so must not pass through a proxy. */
export const isDirect = ({ protocol }: URL): boolean => protocol === "http:"

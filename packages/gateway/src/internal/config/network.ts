import * as IpNetwork from "effect/net/IpNetwork"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** The CIDR notation of an address or a network; `undefined` if the text is neither, or has host bits. */
const cidrOf = (text: string): string | undefined => {
  const cidr = text.includes("/") ? text : `${text}/${text.includes(":") ? 128 : 32}`
  return Result.isSuccess(IpNetwork.fromString(cidr)) ? cidr : undefined
}

/** An address, or a network in CIDR notation. */
export const Network = Schema.String.check(
  Schema.makeFilter((text: string) => cidrOf(text) !== undefined, {
    expected: "an address, or a network in CIDR notation without host bits"
  })
)

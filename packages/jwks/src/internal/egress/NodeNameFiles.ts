/** The files that configure the system's resolver: the hosts file and `resolv.conf`. */
import * as Host from "@keelson/core/unstable/Host"
import type { LookupAddress } from "node:dns"
import { readFile } from "node:fs/promises"
import { isIP } from "node:net"
import { env, platform } from "node:process"

/** Where the files are. */
export interface NameFiles {
  readonly hosts: string
  readonly resolvConf: string
}

/** Those of the system. Windows has no `resolv.conf`. */
export const systemFiles: NameFiles = {
  hosts: platform === "win32" ? `${env["SystemRoot"] ?? "C:\\Windows"}\\System32\\drivers\\etc\\hosts` : "/etc/hosts",
  resolvConf: "/etc/resolv.conf"
}

/** The lines of a file, as words without comments. A file that cannot be read counts as empty. */
const linesOf = async (
  path: string,
  comment: RegExp,
  mustContain = ""
): Promise<ReadonlyArray<ReadonlyArray<string>>> => {
  const text = await readFile(path, "utf8").catch(() => "")
  // A hosts file can have a hundred thousand lines, and rarely has the name.
  if (!text.toLowerCase().includes(mustContain)) return []
  return text.split("\n").map((line) => line.replace(comment, "").split(/\s+/).filter((word) => word !== ""))
}

/** The addresses that the hosts file has for a name, in the order of the file. The file is read each time. */
export const addressesInHosts = async (files: NameFiles, hostname: string): Promise<ReadonlyArray<LookupAddress>> => {
  const lines = await linesOf(files.hosts, /#.*/, hostname)
  return lines.flatMap(([address = "", ...names]) => {
    const family = isIP(address)
    return family !== 0 && names.some((name) => Host.canonical(name) === hostname) ? [{ address, family }] : []
  })
}

/** The names to ask DNS for, in this order: a name with few dots is completed by the search domains first (resolv.conf(5)). */
export const namesToAsk = async (files: NameFiles, hostname: string): Promise<ReadonlyArray<string>> => {
  const lines = await linesOf(files.resolvConf, /[#;].*/)
  const domains = lines.findLast(([word]) => word === "search" || word === "domain")?.slice(1) ?? []
  const ndots =
    lines.flatMap(([word, ...options]) =>
      word === "options" ? options.flatMap((option) => /^ndots:(\d+)$/.exec(option)?.[1] ?? []) : []
    ).at(-1) ?? "1"
  const completed = domains.flatMap((domain) => {
    const canonical = Host.canonical(domain)
    return canonical === undefined ? [] : [`${hostname}.${canonical}`]
  })
  const dots = hostname.split(".").length - 1
  return dots >= Number(ndots) ? [hostname, ...completed] : [...completed, hostname]
}

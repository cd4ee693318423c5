/** Members of private keys (RFC 7518, 6.2.2 and 6.3.2; RFC 8037, 2; `priv` of newer kinds). */
export const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"]

import type { CodeInfo } from "../../../ErrorCode.ts"

/** Codes of configuration errors. Their ids start with `CFG`. */
export const configuration = {
  CONFIG_MISSING: {
    id: "CFG-001",
    category: "CONFIGURATION",
    severity: "ERROR",
    status: 500,
    retryable: false,
    breaker: "ignored",
    description: "A required configuration section or key is missing.",
    troubleshooting: ["Add the key named in `missing_key` to the configuration."]
  },
  INVALID_CONFIG: {
    id: "CFG-002",
    category: "CONFIGURATION",
    severity: "ERROR",
    status: 500,
    retryable: false,
    breaker: "ignored",
    description: "A configuration value is unknown, of the wrong type, out of its range, or contradicts another one.",
    troubleshooting: [
      "Correct the value at `path`; `expected` names the bound.",
      "Compare the names of all keys with the configuration reference: a misspelt key is unknown."
    ]
  },
  CONFIG_VARIABLE_MISSING: {
    id: "CFG-003",
    category: "CONFIGURATION",
    severity: "ERROR",
    status: 500,
    retryable: false,
    breaker: "ignored",
    description: "A `${VAR}` in the configuration names an environment variable that is not set.",
    troubleshooting: ["Set the variable named in `var_name`, or write `$${` for a literal `${`."]
  },
  KEY_FILE_UNREADABLE: {
    id: "CFG-004",
    category: "CONFIGURATION",
    severity: "ERROR",
    status: 500,
    retryable: false,
    breaker: "ignored",
    description: "A key file is missing or cannot be read.",
    troubleshooting: [
      "Check that the file named in `file` exists and that the process may read it; the option is at `path`."
    ]
  },
  KEY_INVALID: {
    id: "CFG-005",
    category: "CONFIGURATION",
    severity: "ERROR",
    status: 500,
    retryable: false,
    breaker: "ignored",
    description: "A configured key is malformed, too weak, or does not fit its algorithm.",
    troubleshooting: [
      "Correct the key at `path`; `expected` names what it must be.",
      "A symmetric secret needs an HS algorithm; a public key needs an asymmetric algorithm."
    ]
  }
} as const satisfies Record<string, CodeInfo>

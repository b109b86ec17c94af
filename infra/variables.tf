variable "name" {
  description = "Name of this Lifeboat; its resources are called after it"
  type        = string
  default     = "lifeboat"

  validation {
    condition     = can(regex("^[A-Za-z0-9-]{1,48}$", var.name))
    error_message = "1 to 48 letters, digits and hyphens."
  }
}

variable "package" {
  description = "The function as a zip file, which `make package` writes to target/package/ARCHITECTURE/bootstrap/bootstrap.zip"
  type        = string
}

variable "architecture" {
  description = "arm64 costs less; it must be what the package was made for"
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "arm64 or x86_64."
  }
}

variable "source_region" {
  description = "turbopuffer region that is backed up, such as aws-us-east-1"
  type        = string
  default     = ""

  validation {
    # Only the shape: the service adds regions, and private deployments name their own.
    condition     = can(regex("^([a-z0-9]+(-[a-z0-9]+)+)?$", var.source_region))
    error_message = "A region's name, such as aws-us-east-1."
  }
}

variable "source_prefixes" {
  description = "What the names of the namespaces begin with; [\"*\"] means all of them"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for prefix in var.source_prefixes : can(regex("^(\\*|[A-Za-z0-9._-]+)$", prefix))])
    error_message = "Prefixes of letters, digits, full stops, hyphens and underscores, or \"*\" alone."
  }
}

variable "source_exclude" {
  description = "Globs of namespaces that are left out, such as [\"scratch-*\", \"*-tmp\"]"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for glob in var.source_exclude : can(regex("^[A-Za-z0-9._*?!\\[\\]-]+$", glob))])
    error_message = "Globs without commas and spaces."
  }
}

variable "backup_region" {
  description = "turbopuffer region that receives the copies, such as aws-eu-west-1"
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([a-z0-9]+(-[a-z0-9]+)+)?$", var.backup_region))
    error_message = "A region's name, such as aws-eu-west-1."
  }
}

variable "backup_prefix" {
  description = "Every backup's name begins so; never empty, as nothing else tells backups from your own namespaces"
  type        = string
  default     = "backup-"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,64}$", var.backup_prefix))
    error_message = "1 to 64 letters, digits, full stops, hyphens and underscores."
  }
}

variable "document" {
  description = "TOML document with the plans (README.md), in place of source_region, source_prefixes, source_exclude, backup_region, backup_prefix, retention_days and min_backups"
  type        = string
  default     = ""

  validation {
    # A function's variables have 4 KB together.
    condition     = var.document == "" || (strcontains(var.document, "[plans.") && length(var.document) <= 3000)
    error_message = "A document with at least one [plans.NAME], of 3,000 characters at most."
  }
}

variable "plans" {
  description = "The plans of the document, each with its schedule, its time zone, and whether drill_schedule drills it, as it can't one of Zilliz Cloud; without a document, leave it out"
  type        = map(object({ schedule = optional(string), timezone = optional(string), drill = optional(bool, true) }))
  default     = { default = {} }

  validation {
    condition     = length(var.plans) > 0 && alltrue([for name, _ in var.plans : can(regex("^[A-Za-z0-9._-]{1,64}$", name))])
    error_message = "At least one plan's name: letters, digits, full stops, hyphens and underscores."
  }
}

variable "more_secret_arns" {
  description = "ARNs of further secrets that the document names, with their random suffixes"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.more_secret_arns : can(regex("^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}$", arn))])
    error_message = "Complete ARNs, arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX."
  }
}

variable "password_secret_prefix" {
  description = "Secrets whose names begin so may receive the passwords of restored clusters, such as lifeboat/restored/; empty is none"
  type        = string
  default     = ""

  validation {
    # A folder of its own: whatever is in it may be replaced.
    condition     = can(regex("^([A-Za-z0-9_+=.@-]+/)*$", var.password_secret_prefix))
    error_message = "Empty, or the beginning of names, with a slash at its end."
  }
}

variable "schedule" {
  description = "EventBridge Scheduler expression, cron(minute hour day month weekday year) or rate(1 day)"
  type        = string
  # Not between 00:00 and 03:59: where clocks change at night, Scheduler skips a run whose local time doesn't exist.
  default = "cron(30 4 * * ? *)"

  validation {
    condition     = can(regex("^(cron\\([0-9*,/-]+ [0-9*,/-]+ [0-9*?,/LW-]+ [0-9A-Z*,/-]+ [0-9A-Z*?,#L-]+ [0-9*,/-]+\\)|rate\\([1-9][0-9]* (minute|hour|day)s?\\))$", var.schedule))
    error_message = "cron(...) with six fields, or rate(...) in minutes, hours or days."
  }
}

variable "schedule_timezone" {
  description = "Time zone of the schedule, such as Europe/Berlin"
  type        = string
  default     = "UTC"

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$", var.schedule_timezone))
    error_message = "A name of the IANA time zone database."
  }
}

variable "drill_schedule" {
  description = "When a backup of each plan, drawn by lot, is restored, compared and deleted again, such as cron(30 10 ? * TUE *); empty is never"
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|cron\\([0-9*,/-]+ [0-9*,/-]+ [0-9*?,/LW-]+ [0-9A-Z*,/-]+ [0-9A-Z*?,#L-]+ [0-9*,/-]+\\)|rate\\([1-9][0-9]* (minute|hour|day)s?\\))$", var.drill_schedule))
    error_message = "Empty, cron(...) with six fields, or rate(...) in minutes, hours or days."
  }
}

variable "retention_days" {
  description = "Recovery window in days, in which every backup stays; 0 keeps all backups for ever"
  type        = number
  default     = 7

  validation {
    condition     = var.retention_days >= 0 && var.retention_days <= 36500 && floor(var.retention_days) == var.retention_days
    error_message = "A whole number of days from 0 to 36500."
  }
}

variable "max_age_days" {
  description = "Days until a namespace that did not change is copied again; 0 copies it every time"
  type        = number
  default     = 0

  validation {
    condition     = var.max_age_days >= 0 && var.max_age_days <= 36500 && floor(var.max_age_days) == var.max_age_days
    error_message = "A whole number of days from 0 to 36500."
  }
}

variable "min_backups" {
  description = "Good backups that every namespace keeps whatever their age, even when the namespace is gone"
  type        = number
  default     = 1

  validation {
    condition     = var.min_backups >= 1 && var.min_backups <= 10000 && floor(var.min_backups) == var.min_backups
    error_message = "A whole number from 1 to 10000."
  }
}

variable "verify_level" {
  description = "How closely a copy is compared before it is sealed - count, sample:N rows, or full; rows are billed as read"
  type        = string
  default     = "count"

  validation {
    condition     = can(regex("^(count|sample|sample:[1-9][0-9]{0,8}|full)$", var.verify_level))
    error_message = "count, sample, sample:N such as sample:5000, or full."
  }
}

variable "api_key_secret_arn" {
  description = "ARN of the Secrets Manager secret that holds turbopuffer's API key, with its random suffix; empty for Zilliz Cloud alone"
  type        = string
  default     = ""

  validation {
    # The complete ARN: the function's permission names this one secret, and a short form would match none.
    condition     = can(regex("^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6})?$", var.api_key_secret_arn))
    error_message = "The complete ARN, arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX."
  }
}

variable "api_key_secret_field" {
  description = "Field of the secret that holds the key, if the secret is a JSON object; empty if it is the key itself"
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]*$", var.api_key_secret_field))
    error_message = "The name of a JSON field."
  }
}

variable "base_url" {
  description = "Address of turbopuffer, in which {region} stands for the region"
  type        = string
  default     = "https://{region}.turbopuffer.com"

  validation {
    # Plain HTTP would show the key to the network, so only this machine may be reached by it.
    condition     = can(regex("^(https://|http://127\\.0\\.0\\.1:)[^ ]*\\{region\\}[^ ]*$", var.base_url))
    error_message = "An https address with {region} in it."
  }
}

variable "zilliz_api_key_secret_arn" {
  description = "ARN of the secret that holds Zilliz Cloud's API key, with its random suffix; empty if no plan is of Zilliz Cloud"
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6})?$", var.zilliz_api_key_secret_arn))
    error_message = "The complete ARN, arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-SUFFIX."
  }
}

variable "zilliz_api_key_secret_field" {
  description = "Field of that secret that holds the key, if the secret is a JSON object; empty if it is the key itself"
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]*$", var.zilliz_api_key_secret_field))
    error_message = "The name of a JSON field."
  }
}

variable "zilliz_base_url" {
  description = "Address of Zilliz Cloud's control plane, without /v2; empty is the public one of the plan's regions"
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^((https://|http://127\\.0\\.0\\.1:)[^ ]+)?$", var.zilliz_base_url))
    error_message = "An https address, or empty."
  }
}

variable "log_level" {
  description = "The least severe log line that is kept"
  type        = string
  default     = "INFO"

  validation {
    # Nothing less talkative: the report of a run that went well is an INFO line.
    condition     = contains(["DEBUG", "INFO"], var.log_level)
    error_message = "DEBUG or INFO."
  }
}

variable "log_retention_days" {
  description = "Days for which the log is kept; the reports of all runs are in it"
  type        = number
  default     = 90
}

variable "tags" {
  description = "Tags for every resource, beside application = lifeboat"
  type        = map(string)
  default     = {}
}

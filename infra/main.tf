# Lifeboat as a Terraform module: what template.yaml deploys, with the same promises and permissions.
#
#   make package                                   # the function, target/package/arm64/bootstrap/bootstrap.zip
#
#   module "lifeboat" {
#     source             = "./infra"
#     package            = "target/package/arm64/bootstrap/bootstrap.zip"
#     source_region      = "aws-us-east-1"
#     source_prefixes    = ["tenant-"]
#     backup_region      = "aws-eu-west-1"
#     api_key_secret_arn = aws_secretsmanager_secret.turbopuffer.arn
#   }
#
# `make check` runs tests/lifeboat.tftest.hcl, where Terraform and its AWS provider are installed.

terraform {
  required_version = ">= 1.7" # the first with mock_provider, for the tests
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80"
    }
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  tags = merge({ application = "lifeboat" }, var.tags)
  # The one plan of these variables, or the document's plans.
  configuration = var.document != "" ? {
    LIFEBOAT_CONFIG = var.document
    } : {
    SOURCE_REGION  = var.source_region
    SOURCE_PREFIX  = join(",", var.source_prefixes)
    SOURCE_EXCLUDE = join(",", var.source_exclude)
    BACKUP_REGION  = var.backup_region
    BACKUP_PREFIX  = var.backup_prefix
    RETENTION_DAYS = tostring(var.retention_days)
    MIN_BACKUPS    = tostring(var.min_backups)
    MAX_AGE_DAYS   = tostring(var.max_age_days)
    VERIFY_LEVEL   = var.verify_level
  }
  # The secrets' names, never their values: who may read this configuration doesn't thereby hold the keys.
  turbopuffer = var.api_key_secret_arn == "" ? {} : {
    TURBOPUFFER_API_KEY_SECRET       = var.api_key_secret_arn
    TURBOPUFFER_API_KEY_SECRET_FIELD = var.api_key_secret_field
    TURBOPUFFER_BASE_URL             = var.base_url
  }
  zilliz = var.zilliz_api_key_secret_arn == "" ? {} : {
    ZILLIZ_API_KEY_SECRET       = var.zilliz_api_key_secret_arn
    ZILLIZ_API_KEY_SECRET_FIELD = var.zilliz_api_key_secret_field
    ZILLIZ_BASE_URL             = var.zilliz_base_url
  }
  keys = {
    for sid, arn in { ReadTheApiKey = var.api_key_secret_arn, ReadTheZillizApiKey = var.zilliz_api_key_secret_arn } :
    sid => arn if arn != ""
  }
  given = compact(concat([var.source_region, var.backup_region], var.source_prefixes))
}

resource "aws_lambda_function" "backup" {
  function_name    = var.name
  description      = "Backs up turbopuffer namespaces and Zilliz Cloud clusters"
  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  role             = aws_iam_role.backup.arn
  tags             = local.tags

  # The longest Lambda allows. A run ends itself before this and says what is left.
  timeout = 900
  # Megabytes; they buy CPU as well. Copies are made by the service, so lists of names are all that fills them.
  memory_size = 512
  # One run at a time: an early second event waits in Lambda's queue instead of racing the first.
  # A new account's quota may be 10 executions, all of which AWS keeps unreserved: have it raised first.
  reserved_concurrent_executions = 1

  logging_config {
    log_format            = "JSON"
    log_group             = aws_cloudwatch_log_group.backup.name
    application_log_level = var.log_level
    system_log_level      = "INFO" # Lambda's own line about each run: how long it took and how much memory
  }

  environment {
    variables = merge(local.configuration, local.turbopuffer, local.zilliz, {
      LIFEBOAT_JOURNAL = "s3://${aws_s3_bucket.journal.bucket}/lifeboat"
      # One bundle instead of a search through certificate directories, which costs tens of ms at every cold start.
      SSL_CERT_FILE = "/etc/pki/tls/certs/ca-bundle.crt"
    })
  }

  lifecycle {
    precondition {
      # What isn't selected isn't backed up, so somebody has to say it.
      condition     = var.document != "" || (var.source_region != "" && var.backup_region != "" && length(var.source_prefixes) > 0)
      error_message = "Give source_region, source_prefixes and backup_region, or a document."
    }
    precondition {
      condition     = var.document == "" || length(local.given) == 0
      error_message = "A document says which regions and prefixes; leave source_region, source_prefixes and backup_region out."
    }
    precondition {
      condition     = length(local.keys) > 0
      error_message = "Give api_key_secret_arn for turbopuffer, zilliz_api_key_secret_arn for Zilliz Cloud, or both."
    }
    precondition {
      condition     = var.document != "" || var.api_key_secret_arn != ""
      error_message = "source_region, source_prefixes and backup_region are turbopuffer's, whose key is missing; give api_key_secret_arn, or a document with plans of Zilliz Cloud."
    }
  }

  # Lambda reads the log group and the queue with the role's rights as soon as the function exists.
  depends_on = [aws_iam_role_policy.backup]
}

# What happens when the code fails. Repeating is harmless: the scheduled time names the work.
resource "aws_lambda_function_event_invoke_config" "backup" {
  function_name          = aws_lambda_function.backup.function_name
  maximum_retry_attempts = 2
  # The longest Lambda allows: a late backup is better than none. Then the event goes to the dead letters.
  maximum_event_age_in_seconds = 21600

  destination_config {
    on_failure {
      destination = aws_sqs_queue.dead_letters.arn
    }
  }
}

# What happens when the event can't be delivered: a second layer, with its own retries, to the same queue.
resource "aws_scheduler_schedule" "backup" {
  for_each                     = var.plans
  name                         = each.key == "default" ? var.name : "${substr(var.name, 0, 31)}-${substr(each.key, 0, 32)}"
  description                  = "Runs the backups of ${var.name}, plan ${each.key}"
  schedule_expression          = coalesce(each.value.schedule, var.schedule)
  schedule_expression_timezone = coalesce(each.value.timezone, var.schedule_timezone)

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_function.backup.arn
    role_arn = aws_iam_role.schedule.arn
    # Scheduler fills in the instant that was planned. It is the same in every attempt, so no attempt backs up twice.
    # Not jsonencode, which would escape the angle brackets that Scheduler looks for.
    input = "{\"action\":\"backup\",\"plan\":\"${each.key}\",\"scheduled_time\":\"<aws.scheduler.scheduled-time>\"}"

    retry_policy {
      maximum_retry_attempts       = 10
      maximum_event_age_in_seconds = 21600
    }

    dead_letter_config {
      arn = aws_sqs_queue.dead_letters.arn
    }
  }
}

# Proves that backups come back. Only turbopuffer's can be drilled.
resource "aws_scheduler_schedule" "drill" {
  for_each                     = { for name, plan in var.plans : name => plan if var.drill_schedule != "" && plan.drill }
  name                         = "${substr(var.name, 0, 25)}-drill-${substr(each.key, 0, 32)}"
  description                  = "Drills the backups of ${var.name}, plan ${each.key}"
  schedule_expression          = var.drill_schedule
  schedule_expression_timezone = coalesce(each.value.timezone, var.schedule_timezone)

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_function.backup.arn
    role_arn = aws_iam_role.schedule.arn
    # The instant names the drill and draws the lot, so a repeated attempt drills the same backup.
    input = "{\"action\":\"drill\",\"plan\":\"${each.key}\",\"scheduled_time\":\"<aws.scheduler.scheduled-time>\"}"

    retry_policy {
      maximum_retry_attempts       = 10
      maximum_event_age_in_seconds = 21600
    }

    dead_letter_config {
      arn = aws_sqs_queue.dead_letters.arn
    }
  }
}

# Goes on with copies that outlast an invocation, and with what a killed one left. Idle, it
# asks the journal one question.
resource "aws_scheduler_schedule" "resume" {
  name                = "${var.name}-resume"
  description         = "Goes on with the open runs of ${var.name}"
  schedule_expression = "rate(5 minutes)"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_function.backup.arn
    role_arn = aws_iam_role.schedule.arn
    input    = "{\"action\":\"resume\"}"

    # A tick that is lost is made up for by the next one.
    retry_policy {
      maximum_retry_attempts       = 0
      maximum_event_age_in_seconds = 300
    }

    dead_letter_config {
      arn = aws_sqs_queue.dead_letters.arn
    }
  }
}

# What long copies and histories are remembered by. No backup is in it, and losing it loses none.
resource "aws_s3_bucket" "journal" {
  bucket_prefix = "${lower(substr(var.name, 0, 28))}-journal-"
  force_destroy = true
  tags          = local.tags
}

resource "aws_s3_bucket_public_access_block" "journal" {
  bucket                  = aws_s3_bucket.journal.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "journal" {
  bucket = aws_s3_bucket.journal.id

  # A run is given up after seven days; what a killed process left of its log goes then, too.
  dynamic "rule" {
    for_each = { logs = "lifeboat/runs/", logs-of-clusters = "lifeboat/clusters/runs/" }

    content {
      id     = rule.key
      status = "Enabled"

      filter {
        prefix = rule.value
      }

      expiration {
        days = 30
      }
    }
  }
}

resource "aws_s3_bucket_policy" "journal" {
  bucket = aws_s3_bucket.journal.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EncryptedConnectionsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.journal.arn, "${aws_s3_bucket.journal.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

# All that the function may do. What it does to your data, it does with the API keys.
resource "aws_iam_role" "backup" {
  name_prefix = "${substr(var.name, 0, 30)}-run-"
  description = "What Lifeboat's function may do"
  tags        = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "backup" {
  name = "backup"
  role = aws_iam_role.backup.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(length(var.more_secret_arns) == 0 ? [] : [
      {
        Sid      = "ReadTheDocumentsKeys"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = var.more_secret_arns
      }
      ], var.password_secret_prefix == "" ? [] : [
      {
        # Never read: who may start this function doesn't thereby learn a password.
        Sid      = "KeepThePasswordsOfRestoredClusters"
        Effect   = "Allow"
        Action   = ["secretsmanager:CreateSecret", "secretsmanager:PutSecretValue"]
        Resource = ["arn:${data.aws_partition.current.partition}:secretsmanager:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:secret:${var.password_secret_prefix}*"]
      }
      ], [
      for sid, arn in local.keys : {
        Sid      = sid
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = arn
      }
      ], [
      {
        Sid      = "KeepTheJournal"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        Resource = "${aws_s3_bucket.journal.arn}/lifeboat/*"
      },
      {
        Sid    = "ListTheJournal"
        Effect = "Allow"
        # Without it, S3 answers 403 instead of 404 for an object that isn't there.
        Action   = "s3:ListBucket"
        Resource = aws_s3_bucket.journal.arn
      },
      {
        Sid    = "WriteTheLog"
        Effect = "Allow"
        Action = ["logs:CreateLogStream", "logs:PutLogEvents"]
        # The group's own streams, whose names Lambda makes.
        Resource = "${aws_cloudwatch_log_group.backup.arn}:*"
      },
      {
        Sid      = "ReportFailures"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = aws_sqs_queue.dead_letters.arn
      },
    ])
  })
}

resource "aws_iam_role" "schedule" {
  name_prefix = "${substr(var.name, 0, 25)}-schedule-"
  description = "What Lifeboat's schedule may do"
  tags        = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      # Schedules of other accounts can't borrow this role.
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "schedule" {
  name = "schedule"
  role = aws_iam_role.schedule.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "StartTheFunction"
        Effect   = "Allow"
        Action   = "lambda:InvokeFunction"
        Resource = aws_lambda_function.backup.arn
      },
      {
        Sid      = "ReportFailures"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = aws_sqs_queue.dead_letters.arn
      },
    ]
  })
}

# Ours rather than the one Lambda would make, which never expires.
resource "aws_cloudwatch_log_group" "backup" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

# Runs that failed for good. Each message holds the event, which can be sent again as it is.
resource "aws_sqs_queue" "dead_letters" {
  name_prefix               = "${var.name}-dead-letters-"
  message_retention_seconds = 1209600 # 14 days, the longest SQS keeps a message: long enough to be found after a holiday
  sqs_managed_sse_enabled   = true
  tags                      = local.tags
}

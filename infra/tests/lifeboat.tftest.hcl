# The module's promises, against a provider that only pretends: no account and no network.

mock_provider "aws" {
  # The provider checks the form of every ARN, so those that are used elsewhere must look like one.
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:us-east-1:123456789012:function:lifeboat" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/lifeboat" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/lifeboat" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::lifeboat-journal", bucket = "lifeboat-journal" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:us-east-1:123456789012:lifeboat-dead-letters" }
  }
}

variables {
  package            = "main.tf" # any file: nothing is uploaded
  source_region      = "aws-us-east-1"
  source_prefixes    = ["tenant-", "docs-"]
  backup_region      = "aws-eu-west-1"
  api_key_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:lifeboat/turbopuffer-AbC123"
}

run "keeps_its_promises" {
  assert {
    condition     = aws_lambda_function.backup.reserved_concurrent_executions == 1
    error_message = "One run at a time."
  }
  assert {
    condition     = aws_lambda_function.backup.timeout == 900 && aws_lambda_function.backup.runtime == "provided.al2023"
    error_message = "The longest run that Lambda allows, on the system that the package is made for."
  }
  assert {
    condition     = aws_lambda_function.backup.logging_config[0].log_group == aws_cloudwatch_log_group.backup.name
    error_message = "The log goes to the group that expires."
  }
  assert {
    condition = (
      aws_lambda_function_event_invoke_config.backup.maximum_retry_attempts == 2 &&
      aws_lambda_function_event_invoke_config.backup.destination_config[0].on_failure[0].destination == aws_sqs_queue.dead_letters.arn
    )
    error_message = "An event that fails twice more goes to the dead letters."
  }
  assert {
    condition     = aws_scheduler_schedule.backup["default"].target[0].dead_letter_config[0].arn == aws_sqs_queue.dead_letters.arn
    error_message = "An event that can't be delivered goes to the dead letters."
  }
  assert {
    condition     = strcontains(aws_scheduler_schedule.backup["default"].target[0].input, "\"<aws.scheduler.scheduled-time>\"")
    error_message = "The schedule sends the planned instant, spelt as Scheduler looks for it."
  }
  assert {
    condition = (
      aws_scheduler_schedule.resume.schedule_expression == "rate(5 minutes)" &&
      jsondecode(aws_scheduler_schedule.resume.target[0].input) == { action = "resume" }
    )
    error_message = "Open runs are carried on with every five minutes."
  }
  assert {
    condition     = aws_lambda_function.backup.environment[0].variables.LIFEBOAT_JOURNAL == "s3://lifeboat-journal/lifeboat"
    error_message = "The journal is in our bucket."
  }
}

run "keeps_no_log_for_ever" {
  assert {
    condition = {
      for rule in aws_s3_bucket_lifecycle_configuration.journal.rule : rule.filter[0].prefix => rule.expiration[0].days
    } == { "lifeboat/runs/" = 30, "lifeboat/clusters/runs/" = 30 }
    error_message = "What killed processes left goes, of namespaces and of clusters."
  }
}

run "drills_only_when_asked" {
  assert {
    condition     = length(aws_scheduler_schedule.drill) == 0
    error_message = "A drill costs what a copy costs, so somebody has to ask for it."
  }
}

run "drills_every_plan" {
  variables {
    plans          = { nightly = {}, weekly = { timezone = "Europe/Berlin" } }
    drill_schedule = "cron(30 10 ? * TUE *)"
  }
  assert {
    condition = {
      for name, schedule in aws_scheduler_schedule.drill :
      name => [jsondecode(schedule.target[0].input).action, jsondecode(schedule.target[0].input).plan, schedule.schedule_expression, schedule.schedule_expression_timezone]
      } == {
      nightly = ["drill", "nightly", "cron(30 10 ? * TUE *)", "UTC"]
      weekly  = ["drill", "weekly", "cron(30 10 ? * TUE *)", "Europe/Berlin"]
    }
    error_message = "Every plan has its drills."
  }
  assert {
    condition = alltrue([
      for schedule in aws_scheduler_schedule.drill :
      strcontains(schedule.target[0].input, "\"<aws.scheduler.scheduled-time>\"") && schedule.target[0].dead_letter_config[0].arn == aws_sqs_queue.dead_letters.arn
    ])
    error_message = "A drill has its planned instant, and one that can't be delivered goes to the dead letters."
  }
}

run "drills_no_clusters" {
  variables {
    plans          = { nightly = {}, prod = { drill = false } }
    drill_schedule = "cron(30 10 ? * TUE *)"
  }
  assert {
    condition     = keys(aws_scheduler_schedule.drill) == ["nightly"] && length(aws_scheduler_schedule.backup) == 2
    error_message = "A plan of Zilliz Cloud is backed up and not drilled."
  }
}

run "permits_what_the_template_permits" {
  variables {
    more_secret_arns          = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:lifeboat/backups-AbC123"]
    zilliz_api_key_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:lifeboat/zilliz-AbC123"
  }
  # The ARNs are spelt differently there, so what is compared is who may do what, by the statements' names; some of the
  # template's stand under a condition.
  assert {
    condition = {
      for statement in jsondecode(aws_iam_role_policy.backup.policy).Statement : statement.Sid => flatten([statement.Action])
      } == {
      for statement in [for chosen in jsondecode(file("../tests/aws/permissions.json")).BackupRole.Policies[0].PolicyDocument.Statement : try(chosen["Fn::If"][1], chosen)] :
      statement.Sid => flatten([statement.Action])
    }
    error_message = "The function's permissions differ from those of template.yaml."
  }
  assert {
    condition = {
      for statement in jsondecode(aws_iam_role_policy.schedule.policy).Statement : statement.Sid => statement.Action
      } == {
      for statement in jsondecode(file("../tests/aws/permissions.json")).ScheduleRole.Policies[0].PolicyDocument.Statement : statement.Sid => statement.Action
    }
    error_message = "The schedule's permissions differ from those of template.yaml."
  }
}

run "reads_one_secret_of_one_service" {
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.backup.policy).Statement : statement.Resource] == [
      var.api_key_secret_arn, "${aws_s3_bucket.journal.arn}/lifeboat/*", aws_s3_bucket.journal.arn,
      "${aws_cloudwatch_log_group.backup.arn}:*", aws_sqs_queue.dead_letters.arn,
    ]
    error_message = "One secret, one bucket, one log group, one queue."
  }
}

run "drives_clusters_alone" {
  variables {
    source_region             = ""
    source_prefixes           = []
    backup_region             = ""
    api_key_secret_arn        = ""
    zilliz_api_key_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:lifeboat/zilliz-AbC123"
    document                  = "[plans.prod]\nprovider = \"zilliz\"\n"
    plans                     = { prod = {} }
  }
  assert {
    condition = {
      for name, value in aws_lambda_function.backup.environment[0].variables : name => value if strcontains(name, "_API_KEY_SECRET")
      } == {
      ZILLIZ_API_KEY_SECRET       = var.zilliz_api_key_secret_arn
      ZILLIZ_API_KEY_SECRET_FIELD = ""
    }
    error_message = "The function is told of one key, as an empty one is refused."
  }
  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.backup.policy).Statement : statement.Resource if statement.Action == "secretsmanager:GetSecretValue"
    ] == [var.zilliz_api_key_secret_arn]
    error_message = "And may read that one."
  }
}

run "takes_a_document" {
  variables {
    source_region    = ""
    source_prefixes  = []
    backup_region    = ""
    document         = "[plans.nightly]\n[plans.nightly.source]\nregion = \"aws-us-east-1\"\n"
    plans            = { nightly = {}, weekly = { schedule = "rate(7 days)", timezone = "Europe/Berlin" } }
    more_secret_arns = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:lifeboat/backups-AbC123"]
  }
  assert {
    condition     = aws_lambda_function.backup.environment[0].variables.LIFEBOAT_CONFIG == var.document
    error_message = "The function is given the document."
  }
  assert {
    condition     = !can(aws_lambda_function.backup.environment[0].variables.RETENTION_DAYS)
    error_message = "And none of the variables that it replaces, which the function refuses beside it."
  }
  assert {
    condition = {
      for name, schedule in aws_scheduler_schedule.backup :
      name => [jsondecode(schedule.target[0].input).plan, schedule.schedule_expression, schedule.schedule_expression_timezone]
      } == {
      nightly = ["nightly", "cron(30 4 * * ? *)", "UTC"]
      weekly  = ["weekly", "rate(7 days)", "Europe/Berlin"]
    }
    error_message = "Every plan has its schedule."
  }
  assert {
    condition = flatten([
      for statement in jsondecode(aws_iam_role_policy.backup.policy).Statement : statement.Resource if statement.Sid == "ReadTheDocumentsKeys"
    ]) == flatten(var.more_secret_arns)
    error_message = "It may read the secrets that the document names."
  }
}

run "writes_no_secret_unless_asked" {
  assert {
    condition     = !anytrue([for statement in jsondecode(aws_iam_role_policy.backup.policy).Statement : statement.Sid == "KeepThePasswordsOfRestoredClusters"])
    error_message = "It may write no secret."
  }
}

run "writes_passwords_where_it_is_told" {
  variables {
    password_secret_prefix = "lifeboat/restored/"
  }
  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.backup.policy).Statement :
      [statement.Action, endswith(statement.Resource[0], ":secret:lifeboat/restored/*")] if statement.Sid == "KeepThePasswordsOfRestoredClusters"
    ] == [[["secretsmanager:CreateSecret", "secretsmanager:PutSecretValue"], true]]
    error_message = "It may write secrets that begin so, and read none of them."
  }
}

run "refuses_both" {
  command = plan

  variables {
    document = "[plans.nightly]"
  }
  expect_failures = [aws_lambda_function.backup]
}

run "refuses_neither" {
  command = plan

  variables {
    source_prefixes = []
  }
  expect_failures = [aws_lambda_function.backup]
}

run "refuses_no_key" {
  command = plan

  variables {
    api_key_secret_arn = ""
  }
  expect_failures = [aws_lambda_function.backup]
}

run "refuses_namespaces_with_the_key_of_clusters" {
  command = plan

  variables {
    api_key_secret_arn        = ""
    zilliz_api_key_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:lifeboat/zilliz-AbC123"
  }
  expect_failures = [aws_lambda_function.backup]
}

run "refuses_mistakes" {
  command = plan

  variables {
    source_region      = "us east 1"
    source_prefixes    = ["a prefix"]
    backup_prefix      = ""
    schedule           = "cron(30 4 * *)"
    drill_schedule     = "weekly"
    retention_days     = -1
    api_key_secret_arn = "lifeboat/turbopuffer"
    base_url           = "http://turbopuffer.example"

    zilliz_api_key_secret_arn = "lifeboat/zilliz"
    zilliz_base_url           = "http://zilliz.example"
  }
  expect_failures = [
    var.source_region, var.source_prefixes, var.backup_prefix, var.schedule, var.drill_schedule, var.retention_days, var.api_key_secret_arn, var.base_url,
    var.zilliz_api_key_secret_arn, var.zilliz_base_url,
  ]
}
